# Lays what a machine holds beyond its image. Standard input: a tar of hosts, keys/USER, rules.nft, settings.env, secrets/NAME, tls/*, data,
# external, external.sh, expires.timer, expires.service, restart and, as its last, record, all with their modes. record is written last, so that a machine that was left half-way is not
# taken for a settled one. Nothing that is laid stands in an argument, and nothing of it is printed.
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
# On the file system of the targets, so that each file is replaced in one step; root's alone, since secrets lie in it.
e=/etc/evenkeel
d=$e/.settle
[ ! -e "$d" ] || rm -rf "$d"
[ -d "$e/nft" ] && [ -d "$e/authorized_keys" ] || mkdir -p "$e/nft" "$e/authorized_keys"
mkdir -m 0700 "$d"
tar -x -p --no-same-owner -C "$d" -f -
# The last of the archive. Where the sender died, tar takes one that ends between two files for whole, and keys would be missing.
[ -e "$d/record" ] || {
	echo "what is to be laid did not arrive in full"
	exit 1
}

# What was laid before, part by part. From here on the machine's own record says that it is not known.
none=-
: >"$d/was"
if [ -e "$e/settled" ]; then
	none=unknown
	while IFS= read -r line; do printf '%s\n' "$line"; done <"$e/settled" >"$d/was"
	echo laying >"$e/settled"
else
	# Whoever logs in to settle reads it without sudo; others have no business with it.
	(umask 027 && echo laying >"$e/settled")
	[ -z "${SUDO_GID-}" ] || chgrp "$SUDO_GID" "$e/settled" & # waited for at the end: each process takes 80 ms in emulation
fi

# /etc/hosts may be a mount point (containers), so it is written in place, and only our block of it. That is kept in /etc/evenkeel, too: a container's engine
# writes the file anew at each start.
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

# Files of a folder that are not laid any more go, the others are replaced one by one.
lay() {
	for f in "$e/$2"/*; do
		[ ! -e "$f" ] || [ -e "$d/$1/${f##*/}" ] || rm -f "$f"
	done
	[ ! -d "$d/$1" ] || mv -f "$d/$1"/* "$e/$2/"
}
lay keys authorized_keys
if [ -d "$d/secrets" ] && [ ! -d "$e/secrets" ]; then
	(umask 077 && mkdir "$e/secrets")
fi
lay secrets secrets
if [ -d "$d/tls" ]; then
	[ -d "$e/tls" ] || mkdir "$e/tls"
	mv -f "$d/tls"/* "$e/tls/" # certificate and key are not in there where the machine keeps its own
elif [ -d "$e/tls" ]; then
	rm -rf "$e/tls"
fi
if [ -e "$d/data" ]; then
	mv -f "$d/hosts" "$d/settings.env" "$d/data" "$e/"
else
	mv -f "$d/hosts" "$d/settings.env" "$e/"
	[ ! -e "$e/data" ] || rm -f "$e/data"
fi
# Hosts that stand for kinds of machines are looked up here, where they are asked for, and again every minute.
if [ -e "$d/external" ]; then
	mv -f "$d/external" "$d/external.sh" "$e/"
	sh "$e/external.sh"
	systemctl start evenkeel-external.timer
elif [ -e "$e/external" ]; then
	systemctl stop evenkeel-external.timer
	: >"$e/external"
	sh "$e/external.sh"
	rm -f "$e/external" "$e/external.sh" "$e/nft/external.nft"
fi
# A machine with a ttl switches itself off when that is over, also where nobody is left to remove it.
u=/etc/systemd/system/evenkeel-expires
if [ -e "$d/expires.timer" ]; then
	[ -d "${u%/*}" ] || mkdir -p "${u%/*}"
	mv -f "$d/expires.service" "$u.service"
	mv -f "$d/expires.timer" "$u.timer"
	systemctl -q enable --now evenkeel-expires.timer
elif [ -e "$u.timer" ]; then
	systemctl -q disable --now evenkeel-expires.timer
	rm -f "$u.timer" "$u.service"
fi
mv -f "$d/rules.nft" "$e/nft/rules.nft"
nft -f /etc/nftables.conf &
rules=$! # waited for below

complain() {
	echo "$1 failed:"
	journalctl -q -b -o cat -n 15 -u "$1" || :
}
# The steps of first boot may still run; they join here. A failed one fails Settle, with its own words.
units='evenkeel-grow.service evenkeel-firstboot.service'
[ ! -s "$e/data" ] || units="evenkeel-data.service $units"
echo "waiting for $units"
# shellcheck disable=SC2086 # two words
if ! systemctl start $units; then
	for unit in $units; do
		systemctl -q is-active "$unit" || complain "$unit"
	done
	exit 1
fi
wait "$rules"

# said_of PART RECORD: sets said to what the record says of the part, else to $none.
said_of() {
	said=$none
	while read -r part digest; do
		[ "$part" != "$1" ] || said=$digest
	done <"$2"
}
# Services that asked for it are restarted when what they read differs from before. One that never ran, or was stopped, stays so.
restart=
while read -r changed unit; do
	said_of "$changed" "$d/was"
	was=$said
	said_of "$changed" "$d/record"
	case " $restart " in *" $unit "*) continue ;; esac
	[ "$was" = "$said" ] || restart="$restart $unit"
done <"$d/restart"
for unit in $restart; do
	case $(systemctl is-active "$unit" || :) in
	active | activating | reloading) ;;
	failed) systemctl reset-failed "$unit" ;; # it may have failed for want of what was laid now, and often
	*) continue ;;
	esac
	systemctl restart "$unit" || {
		complain "$unit"
		exit 1
	}
	echo "restarted $unit"
done

while IFS= read -r line; do printf '%s\n' "$line"; done <"$d/record" >"$e/settled"
wait
(trap '' HUP; rm -rf "$d") </dev/null >/dev/null 2>&1 & # sudo may hang up when this ends
: >/run/evenkeel-settled # what the boot put off for this goes on (evenkeel-coldplug.path)
