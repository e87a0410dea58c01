# Lets the name of each kind that is external mean what its host resolves to here and now, in /etc/hosts and in the firewall's sets. The list has lines
# "KIND HOST"; an empty one takes all of it away. Settle runs this, and evenkeel-external.timer every minute, since addresses move. A
# host that does not resolve for a while keeps the addresses it had.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
e=/etc/evenkeel
exec 8>/run/evenkeel-external
flock 8

begin='# evenkeel: external'
end='# evenkeel: external end'
theirs=
was=
ours=
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	"$begin") ours=1 ;;
	"$end") ours= ;;
	*) if [ -n "$ours" ]; then was="$was$line
"; else theirs="$theirs$line
"; fi ;;
	esac
done </etc/hosts

# take ADDRESS: adds one to found, once.
take() {
	case $1 in '' | *%*) return ;; esac # fe80::1%eth0 is no address of a host
	case " $found " in *" $1 "*) ;; *) found="$found $1" ;; esac
}

is=
sets=
failed=0
while read -r kind host; do
	found=
	while read -r address _; do
		take "$address"
	done <<END
$(getent ahosts "$host" || :)
END
	if [ -z "$found" ]; then
		echo "$host, which stands for $kind, does not resolve"
		while read -r address name; do
			[ "$name" != "$kind" ] || take "$address"
		done <<END
$was
END
	fi
	[ -n "$found" ] || failed=1
	four=
	six=
	for address in $found; do
		is="$is$address $kind
"
		case $address in
		*:*) six="$six${six:+, }$address" ;;
		*) four="$four${four:+, }$address" ;;
		esac
	done
	for family in 4 6; do
		type=ipv4_addr
		elements=$four
		[ $family = 4 ] || { type=ipv6_addr && elements=$six; }
		set="inet evenkeel from-$kind-$family"
		sets="${sets}add set $set { type $type; }
flush set $set
"
		[ -z "$elements" ] || sets="${sets}add element $set { $elements }
"
	done
done <"$e/external"

if [ "$is" != "$was" ] || [ ! -e "$e/nft/external.nft" ]; then
	if [ -n "$is" ]; then
		printf '%s%s\n%s%s\n' "$theirs" "$begin" "$is" "$end" >/etc/hosts
	else
		printf '%s' "$theirs" >/etc/hosts
	fi
	printf '%s' "$sets" >"$e/nft/.external"
	mv -f "$e/nft/.external" "$e/nft/external.nft"
	nft -f "$e/nft/external.nft"
fi
exit $failed
