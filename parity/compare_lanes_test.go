// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/parity"
)

var updateLanes = flag.Bool("update-lanes", false, "write docs/lanes.md anew")

const lanesHead = `# What is not compared everywhere, and why

Every fact has a lane. Those that are not in this table are **stable**: they are compared between all machines of a kind, on all tiers. The table is made from the
program's own (` + "`parity.LaneRules`" + `); the first rule that matches a fact wins, and ` + "`*`" + ` stands for any text, ` + "`?`" + ` for one character.

- **place**: compared among the machines of one tier, never between tiers: the place decides it.
- **identity**: every machine must have its own. Two machines with one value are a finding.
- **volatile**: recorded only.
- **stable**: an exception from a rule below it.

Machines that run their host's kernel (containers) are not compared with machines that have one of their own in sysctl, modules, cmdline, boot, the kernel's packages, and in the units that serve
the kernel, which do not start in containers: udev (devices), timesyncd, chrony and ntpsec (the clock), journald's audit socket, fstrim (` + "`" + `parity.ofKernel` + "`" + `). What is mounted where is made by their engine from outside; they
are compared in it among themselves, within a tier. A report says so once.

| section/key | lane | why |
|---|---|---|
`

func TestEveryLaneIsDocumentedWithItsReason(t *testing.T) {
	var b strings.Builder
	b.WriteString(lanesHead)
	seen := map[string]bool{}
	for _, r := range parity.LaneRules() {
		if r.Why == "" || r.Lane == "" || seen[r.Match] || strings.Contains(r.Why, "|") {
			t.Errorf("%+v: a rule stands once and has a reason", r)
		}
		seen[r.Match] = true
		section, key, _ := strings.Cut(r.Match, "/")
		fmt.Fprintf(&b, "| `%s/%s` | %s | %s |\n", section, key, r.Lane, r.Why)
	}
	const file = "../docs/lanes.md"
	if *updateLanes {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("docs/lanes.md is not the table of the program (-want +got); run go test ./parity -run Lane -update-lanes:\n%s", diff)
	}
}

// trap: sysctls that change by themselves, or by device.
func TestLanesOfWhatMoves(t *testing.T) {
	for key, want := range map[string]parity.Lane{
		"sysctl/fs.file-nr": parity.Volatile, "sysctl/kernel.random.uuid": parity.Volatile, "sysctl/fs.dentry-state": parity.Volatile, "sysctl/kernel.ns_last_pid": parity.Volatile,
		"sysctl/net.ipv4.conf.eth0.rp_filter": parity.Place, "sysctl/net.ipv6.conf.ens3.mtu": parity.Place, "sysctl/net.ipv4.neigh.eth0.gc_stale_time": parity.Place,
		"sysctl/net.ipv4.conf.all.rp_filter": parity.Stable, "sysctl/net.ipv6.conf.default.accept_ra": parity.Stable, "sysctl/net.ipv6.conf.eth0.stable_secret": parity.Volatile,
		"sysctl/net.ipv4.tcp_rmem": parity.Place, "sysctl/vm.swappiness": "", "sysctl/net.ipv4.ip_forward": "",
		"etc//etc/machine-id": parity.Identity, "etc//etc/ssh/ssh_host_ed25519_key": parity.Identity, "etc//etc/ssh/sshd_config": "", "etc//etc/resolv.conf": parity.Place,
		"packages/nginx:amd64": "", "etc//etc/shadow": parity.Volatile,
	} {
		section, name, _ := strings.Cut(key, "/")
		if got := parity.LaneOf(section, name); got != want {
			t.Errorf("%s: got lane %q, want %q", key, got, want)
		}
	}
}

func TestHostsOfEachMachinesOwnAreComparedByMeaning(t *testing.T) {
	at := func(tier, name, hosts string) parity.Snapshot {
		return snap(tier, name, plainBox().with("etc_own", "/etc/hosts", "body:"+hosts))
	}
	p := parity.Policy{Baseline: "production"}
	wantRows(t, compare(t, p, at("production", "web-1", "127.0.0.1 localhost\n127.0.1.1 web-1\n"), at("staging", "web-1", "127.0.1.1 web-2\n127.0.0.1\tlocalhost # x\n")))
	r := compare(t, p, at("production", "web-1", "127.0.0.1 localhost\n127.0.1.1 web-1\n"), at("staging", "web-1", "127.0.0.1 localhost\n10.9.9.9 db\n"))
	if len(r.Rows) != 1 || r.Rows[0].Severity != parity.Config || !strings.Contains(r.Rows[0].Diff, "10.9.9.9") {
		t.Errorf("got %+v", r.Rows)
	}
}
