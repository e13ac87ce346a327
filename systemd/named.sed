# Makes the unit of further bridges, dolphin-scan-bridge@NAME.service, from that of the one without a name:
# sed -f named.sed dolphin-scan-bridge.service. What has to be apart for each is named here; all else is the same.

1,/^$/c\
# Further bridges on this host: dolphin-scan-bridge@NAME reads /etc/scan-bridge/NAME.toml. Made from\
# dolphin-scan-bridge.service, and the same but for what has to be apart for each.\
# Change nothing here: `systemctl edit dolphin-scan-bridge@NAME` makes a drop-in that survives upgrades,\
# `systemctl edit dolphin-scan-bridge@` one for all of them.\

s/^Description=Scan bridge:/Description=Scan bridge %i:/
s|/bin/scan-bridge \([a-z-]*\) --config /etc/scan-bridge/config.toml$|/bin/scan-bridge --instance %i \1|
# Where --instance looks: not in the home of the unit's user.
/^Environment=PYTHONFAULTHANDLER=/a\
Environment=XDG_CONFIG_HOME=%E
s/^SyslogIdentifier=scan-bridge$/&@%i/
s/^StateDirectory=scan-bridge$/&@%i/
s|^WorkingDirectory=%S/scan-bridge$|&@%i|
