# Lays what a machine holds beyond its image. Standard input: a tar of hosts, keys/USER, rules.nft, settings.env, with their modes.
# $1: its digest, written last, so that a machine that was left half-way is not taken for a settled one.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# One at a time: two runs that lay different things would leave some of each. What a killed one left goes.
exec 9>/run/evenkeel-settle
flock -n 9 || {
	echo "waiting for another run that settles this machine"
	flock 9
}
# On the file system of the targets, so that each file is replaced in one step.
d=/etc/evenkeel/.settle
rm -rf "$d" /etc/evenkeel/settled
mkdir -p "$d" /etc/evenkeel/nft /etc/evenkeel/authorized_keys
tar -x -p --no-same-owner -C "$d" -f -
# The last of the archive. Where the sender died, tar takes one that ends between two files for whole, and keys would be missing.
[ -e "$d/settings.env" ] || {
	echo "what is to be laid did not arrive in full"
	exit 1
}

# /etc/hosts may be a mount point (containers), so it is written in place, and only our block of it.
theirs=
ours=
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	'# evenkeel: machines') ours=1 ;;
	'# evenkeel: end') ours= ;;
	*) [ -n "$ours" ] || theirs="$theirs$line
" ;;
	esac
done </etc/hosts
machines=
while IFS= read -r line; do
	machines="$machines$line
"
done <"$d/hosts"
printf '%s# evenkeel: machines\n%s# evenkeel: end\n' "$theirs" "$machines" >/etc/hosts

for f in /etc/evenkeel/authorized_keys/*; do
	[ -e "$d/keys/${f##*/}" ] || rm -f "$f"
done
mv -f "$d"/keys/* /etc/evenkeel/authorized_keys/
mv -f "$d/settings.env" /etc/evenkeel/settings.env
mv -f "$d/rules.nft" /etc/evenkeel/nft/rules.nft
nft -f /etc/nftables.conf

# The steps of first boot may still run; they join here. A failed one fails Settle, with its own words.
units='evenkeel-grow.service evenkeel-firstboot.service'
echo "waiting for $units"
# shellcheck disable=SC2086 # two words
if ! systemctl start $units; then
	for unit in $units; do
		systemctl -q is-active "$unit" && continue
		echo "$unit failed:"
		journalctl -q -b -o cat -n 15 -u "$unit" || :
	done
	exit 1
fi

echo "$1" >"$d/settled"
mv -f "$d/settled" /etc/evenkeel/settled
rm -rf "$d"
