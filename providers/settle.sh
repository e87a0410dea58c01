# Lays what a machine holds beyond its image. Standard input: a tar of hosts, rules.nft, settings.env, keys/USER.
# $1: its digest, written last, so that a machine that was left half-way is not taken for a settled one.
set -eu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# One at a time: two runs that lay different things would leave some of each. What a killed one left goes.
exec 9>/run/evenkeel-settle
flock -n 9 || {
	echo "waiting for another run that settles this machine"
	flock 9
}
rm -rf /run/evenkeel-settle.*
d=$(mktemp -d /run/evenkeel-settle.XXXXXX)
trap 'rm -rf "$d"' EXIT
tar -x --no-same-owner -C "$d" -f -
# The last of the archive. Where the sender died, tar takes one that ends between two files for whole, and keys would be missing.
[ -e "$d/settings.env" ] || {
	echo "what is to be laid did not arrive in full"
	exit 1
}
rm -f /etc/evenkeel/settled

# lay MODE SOURCE TARGET: replaces the target in one step where it differs.
lay() {
	cmp -s "$2" "$3" && return 0
	cp "$2" "$3.new"
	chmod "$1" "$3.new"
	mv -f "$3.new" "$3"
}

umask 022
mkdir -p /etc/evenkeel/nft /etc/evenkeel/authorized_keys
umask 077

# /etc/hosts may be a mount point (containers), so it is written in place, and only our block of it.
{
	sed '/^# evenkeel: machines$/,/^# evenkeel: end$/d' /etc/hosts
	echo '# evenkeel: machines'
	cat "$d/hosts"
	echo '# evenkeel: end'
} >"$d/hosts.all"
cmp -s "$d/hosts.all" /etc/hosts || cat "$d/hosts.all" >/etc/hosts

for f in "$d"/keys/*; do
	lay 0644 "$f" "/etc/evenkeel/authorized_keys/${f##*/}"
done
for f in /etc/evenkeel/authorized_keys/*; do
	[ -e "$d/keys/${f##*/}" ] || rm -f "$f"
done

lay 0644 "$d/settings.env" /etc/evenkeel/settings.env
lay 0644 "$d/rules.nft" /etc/evenkeel/nft/rules.nft
nft -f /etc/nftables.conf

# The steps of first boot may still run; they join here. A failed one fails Settle, with its own words.
for unit in evenkeel-grow.service evenkeel-firstboot.service; do
	echo "waiting for $unit"
	if ! systemctl start "$unit"; then
		echo "$unit failed:"
		journalctl -q -b -o cat -n 15 -u "$unit" || :
		exit 1
	fi
done

echo "$1" >"$d/settled"
lay 0644 "$d/settled" /etc/evenkeel/settled
