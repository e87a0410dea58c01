#!/bin/sh
# The example for real: two web servers and a database as virtual machines on this computer, and a page fetched through them; then the same as
# containers, an audit of both, and what it says once somebody changed something by hand.
set -eu
cd "$(dirname "$0")/../envs/examples/shop"
env=../../../bin/evenkeel

echo '$ evenkeel up'
"$env" up

url=$("$env" status --json | sed -n 's/.*"\(http:[^"]*\)".*/\1/p' | head -n 1)
echo
echo "\$ curl $url"
curl -fsS --max-time 60 "$url"

echo
echo '$ evenkeel up --tier ci'
"$env" up --tier ci

echo
echo '$ evenkeel audit'
"$env" audit --offline

echo
echo '$ evenkeel ssh --tier ci web-2 -- sudo sh -c "... dpkg -i hello.deb"    # by hand, as one should not'
"$env" ssh --tier ci web-2 -- sudo sh -c "'set -e; mkdir -p /tmp/hello/DEBIAN
printf \"Package: hello\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n\" >/tmp/hello/DEBIAN/control
dpkg-deb --root-owner-group -b /tmp/hello /tmp/hello.deb; dpkg -i /tmp/hello.deb; rm -r /tmp/hello /tmp/hello.deb'" >/dev/null

echo
echo '$ evenkeel audit'
status=0
"$env" audit --offline || status=$?
[ "$status" = 2 ] || {
	echo "demo: the audit ended with status $status, expected 2: one finding" >&2
	exit 1
}

echo
echo '$ evenkeel down --tier ci --data'
"$env" down --tier ci --data
cat <<'TXT'

It runs. What to try next, in envs/examples/shop (put bin/ on your PATH first):

  evenkeel status               what runs, and where its ports are
  evenkeel ssh web-1            a terminal on it; its host key was verified before the first byte
  evenkeel ssh db-1 -- sudo -n nft list ruleset    only web may reach the database
  evenkeel rebuild web          both web servers anew, one after the other
  evenkeel up                   again: nothing to do
  evenkeel rebuild db --allow-downtime    a new database machine, the old rows
  evenkeel down                 machines go, the rows stay; with --data they go too
TXT
