# Makes a unit for `systemctl --user` from the system's: awk -f user.awk dolphin-scan-bridge.service
# From a pipe it is told the unit's name: -v unit=NAME.
# A user's systemd can neither change users nor build most of the sandbox: on Debian 12 it would ignore those lines or
# refuse to start. Such a line goes, with the comment above it. What works without privileges stays.

BEGIN {
    split("User Group SupplementaryGroups CapabilityBoundingSet AmbientCapabilities RemoveIPC KeyringMode ProcSubset " \
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
    # %S is ~/.config until systemd 253, where the config is too.
    if (/^StateDirectory=scan-bridge(@%i)?$/) sub(/=scan-bridge/, "=scan-bridge/state")
    if (/%S\/scan-bridge(@%i)?$/) sub(/%S\/scan-bridge/, "%S/scan-bridge/state")
    sub(/^WantedBy=multi-user.target/, "WantedBy=default.target")
}

/^#/ { comments = comments $0 "\n"; next }

{
    name = $0; sub(/=.*/, "", name)
    if (!continued) dropped = (name in drop) || name ~ /^(Protect|Private)/
    continued = /\\$/
    if (!dropped) printf "%s%s\n", comments, $0
    comments = ""
}
