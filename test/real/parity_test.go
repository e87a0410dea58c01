// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

// twoTiers is one image in two places.
const twoTiers = `evenkeel: 1
name: realparity
id: "5a1e70"
image: images/box.yaml
machines:
  box: {memory: 512MiB, stateless: true, allow: [{from: anywhere, port: 80}]}
default: laptop
tiers:
  laptop: {provider: libvirt}
  stage: {provider: libvirt}
parity: {baseline: laptop, rebuild_after: 30d}
`

const boxRecipe = `from: debian:12
packages: [cron, nginx-light, openssl]
services: {nginx: enabled}
firstboot: [{shell: files/made}]
`

// changeTheBox is what people do to machines by hand, once each, and one thing that means nothing.
const changeTheBox = `set -e
cd /tmp
mk() { # package, version, what it does when it is configured
	rm -rf d && mkdir -p d/DEBIAN
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' "$1" "$2" >d/DEBIAN/control
	[ -z "${3-}" ] || { printf '#!/bin/sh\n%s\n' "$3" >d/DEBIAN/postinst && chmod 755 d/DEBIAN/postinst; }
	dpkg-deb --root-owner-group -b d x.deb
	dpkg -i x.deb || :
}
mk hello-evenkeel 1.0
mk netbase 1.0
mk broken-evenkeel 1.0 'exit 1'
printf '\n# a remark\n' >>/etc/ssh/sshd_config
echo 'PermitTunnel yes' >/etc/ssh/sshd_config.d/50-tunnel.conf
useradd -m -s /bin/bash alice
install -d -m 0700 -o alice -g alice /home/alice/.ssh
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice@example.org' >/home/alice/.ssh/authorized_keys
chown alice:alice /home/alice/.ssh/authorized_keys
systemd-run --quiet --unit=port9 perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0); bind(S,sockaddr_in(9999,INADDR_ANY)); listen(S,5); sleep 100000'
echo 'vm.swappiness = 7' >/etc/sysctl.d/50-swap.conf
sysctl -q -p /etc/sysctl.d/50-swap.conf
echo '5 4 * * * root true' >/etc/cron.d/job
systemctl mask systemd-pstore.service
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -out /usr/local/share/ca-certificates/other.crt -subj /CN=other-ca -days 30
update-ca-certificates
nft add rule inet evenkeel input tcp dport 9999 accept
`

// Two tiers of one image have no finding; then what was changed by hand on one machine, and nothing else, is found and named.
func TestParityOfTwoTiersOfOneImage(t *testing.T) {
	s := newSite(t, func(string) string { return twoTiers })
	for name, text := range map[string]string{
		"images/box.yaml": boxRecipe, "images/files/made": "#!/bin/sh\necho made >/etc/made-at-first-boot\n", "change.sh": changeTheBox,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, tier := range []string{"laptop", "stage"} {
			s.run(0, "down", "--data", "--tier", tier)
			s.wantNothing("realparity." + tier)
		}
	})
	s.run(0, "up")
	s.run(0, "up", "--tier", "stage")

	for range 2 { // whenever it is asked
		if r := s.audit(0); len(r.Rows) != 0 || r.Checked.Unknown != 0 || r.Checked.Machines != 2 {
			t.Fatalf("two tiers of one image: got %d rows, checked %+v:\n%s", len(r.Rows), r.Checked, strings.Join(rowsOf(r), "\n"))
		}
	}
	if out := s.run(0, "compare", "laptop", "stage"); !strings.Contains(out, "2 machines") {
		t.Errorf("compare says\n%s", out)
	}

	s.run(0, "cp", "--tier", "stage", "change.sh", "box-1:/tmp/change.sh")
	s.run(0, "ssh", "--tier", "stage", "box-1", "--", "sudo sh /tmp/change.sh >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }")
	r := s.audit(2)
	got := rowsOf(r)
	want := strings.Fields(wantChanges)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("after the changes:\ngot\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range r.Rows {
		if !row.Counts {
			t.Errorf("%s/%s does not count", row.Section, row.Key)
		}
	}

	// What was changed goes with the machine.
	s.run(0, "rebuild", "box", "--allow-downtime", "--tier", "stage")
	if r := s.audit(0); len(r.Rows) != 0 {
		t.Errorf("after a rebuild: got\n%s", strings.Join(rowsOf(r), "\n"))
	}
}

// wantChanges are the findings; what is no line here shows in the one above it.
const wantChanges = `
drift:packages/hello-evenkeel:all drift:packages/netbase:all drift:packages/broken-evenkeel:all
drift:etc//etc/ssh/sshd_config.d/50-tunnel.conf skew:sshd/permittunnel
skew:users/alice skew:keys/alice_SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU
skew:ports/tcp/any/9999
skew:sysctl/vm.swappiness
skew:cron//etc/cron.d/job_5_4_*_*_*
skew:units/systemd-pstore.service
skew:ca/CN=other-ca
skew:firewall/inet_evenkeel_chain_input
`

func (s *site) audit(status int) *parity.Report {
	s.t.Helper()
	var r parity.Report
	if err := json.Unmarshal([]byte(s.run(status, "audit", "--offline", "--json")), &r); err != nil {
		s.t.Fatal(err)
	}
	return &r
}

// rowsOf are KIND:SECTION/KEY, sorted, with blanks as _.
func rowsOf(r *parity.Report) []string {
	var list []string
	for _, row := range r.Rows {
		key := row.Key
		if row.Section == "ca" {
			key, _, _ = strings.Cut(key, " ") // a fingerprint follows
		}
		list = append(list, strings.ReplaceAll(string(row.Kind)+":"+row.Section+"/"+key, " ", "_"))
	}
	slices.Sort(list)
	return list
}
