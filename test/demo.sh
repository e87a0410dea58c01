#!/bin/sh
# The example for real: two web servers and a database as virtual machines on this computer, and a page fetched through them.
set -eu
cd "$(dirname "$0")/../envs/examples/shop"
env=../../../bin/evenkeel

echo '$ evenkeel up'
"$env" up

url=$("$env" status --json | sed -n 's/.*"\(http:[^"]*\)".*/\1/p' | head -n 1)
echo
echo "\$ curl $url"
curl -fsS --max-time 60 "$url"
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
