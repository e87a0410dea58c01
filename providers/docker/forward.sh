# Forwards the ports of a machine by the kernel's own rules, in a network namespace of its own, and sleeps. $1 is the machine's address; each word after
# it is a protocol and a port.
set -e
to=$1
shift
{
	echo 'table ip evenkeel {'
	echo 'chain in { type nat hook prerouting priority dstnat;'
	for port; do
		echo "${port%:*} dport ${port#*:} dnat to $to:${port#*:}"
	done
	echo '}'
	# What comes back comes back this way.
	echo "chain out { type nat hook postrouting priority srcnat; ip daddr $to masquerade; }"
	echo '}'
} | nft -f -
echo forwarding
exec sleep infinity
