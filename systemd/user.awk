# Makes a unit for `systemctl --user` from the system's: awk -f user.awk dolphin-scan-bridge.service
# From a pipe it is told the unit's name: -v unit=NAME.
# A user's systemd can neither change users nor build most of the sandbox: on Debian 12 it would ignore those lines or
# refuse to start. Such a line goes, with the comment above it. What works without privileges stays. HOME is the user's.

BEGIN {
    split("User Group SupplementaryGroups DynamicUser CapabilityBoundingSet AmbientCapabilities RemoveIPC KeyringMode ProcSubset " \
          "DevicePolicy IPAddressDeny IPAddressAllow Wants After", names, " ") # the last two name units of the system
    for (i in names) drop[names[i]]
    if (!unit) { unit = ARGV[1]; sub(/.*\//, "", unit) }
    print "# For people without root; made from the system's unit of the same name."
    print "# Change nothing here: `systemctl --user edit " unit "` makes a drop-in that survives upgrades."
    print ""
}

# What the file begins with is about the system's unit.
FNR == 1, /^$/ { next }

{
    gsub(/\/opt\/scan-bridge/, "%h/.local/opt/scan-bridge")
    gsub(/\/etc\/scan-bridge/, "%E/scan-bridge")
    gsub(/systemctl /, "systemctl --user ")
    gsub(/journalctl /, "journalctl --user ")
    gsub(/make upgrade/, "make upgrade-user")
    sub(/readable by root only/, "with mode 600")
    # One folder for all: scan-bridge/state, scan-bridge/healthcheck, … %S is ~/.config until systemd 253, where the
    # config is too.
    if (/^StateDirectory=/ || /%S\//) {
        sub(/scan-bridge-/, "scan-bridge/")
        if (!/scan-bridge\//) sub(/scan-bridge/, "scan-bridge/state")
    }
    # As what a user's unit has logged it counts by this field.
    sub(/OBJECT_SYSTEMD_UNIT=/, "USER_UNIT=")
    sub(/^WantedBy=multi-user.target/, "WantedBy=default.target")
}

/^#/ { comments = comments $0 "\n"; next }

{
    name = $0; sub(/=.*/, "", name)
    if (!continued) dropped = (name in drop) || name ~ /^(Protect|Private)/ || /^Environment=HOME=/
    # A remark on what is not there.
    if (!name && comments ~ /IPAddressDeny=/) comments = ""
    continued = /\\$/
    if (!dropped) printf "%s%s\n", comments, $0
    comments = ""
}
