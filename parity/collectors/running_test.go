// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/test/conformance"
)

func TestUnits(t *testing.T)    { testGolden(t, "units") }
func TestTimers(t *testing.T)   { testGolden(t, "timers") }
func TestPorts(t *testing.T)    { testGolden(t, "ports") }
func TestFirewall(t *testing.T) { testGolden(t, "firewall") }

func FuzzUnits(f *testing.F) {
	fuzz(f, "units", "systemd\nssh.service enabled enabled\n+ /etc/systemd/system/ssh.service.d/a.conf\n+ /etc/systemd/system/x.service\n= ssh.service enabled active running notify wanted,timed", "openrc\nsshd default active")
}
func FuzzTimers(f *testing.F) {
	fuzz(f, "timers", "a.timer|Unit=b.service|TimersCalendar OnCalendar=daily|TimersMonotonic OnBootUSec=1|Persistent=yes|RandomizedDelayUSec=1h")
}
func FuzzPorts(f *testing.F) {
	fuzz(f, "ports", "range 32768 60999\ntcp any 0016 ssh.service sshd\ntcp any 0016 - ?\nudp address ffff - kernel")
}
func FuzzFirewall(f *testing.F) {
	fuzz(f, "firewall", "host 10.0.0.1 web-1 web\nnft\ntable inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 1.1.1.1,\n\t\t 2.2.2.2 }\n\t}\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n\t\tip saddr 10.0.0.1 accept\n\t}\n}\n",
		"saved ip legacy\n*filter\n:INPUT ACCEPT\n-A INPUT -s 10.0.0.1/32 -j ACCEPT\nCOMMIT\n")
}

// shown is a machine on which systemd runs, or something that answers like it.
func shown(t *testing.T, files, blocks string) tree {
	tree := newTree(t)
	tree.write("/run/systemd/system/x", "")
	tree.write("/usr/local/sbin/files", files)
	tree.write("/usr/local/sbin/blocks", blocks)
	tree.write("/usr/local/sbin/systemctl", "#!/bin/sh\ncase $1 in list-unit-files) cat /usr/local/sbin/files ;; show) cat /usr/local/sbin/blocks ;; *) exit 1 ;; esac\n")
	tree.chmod("/usr/local/sbin/systemctl")
	if awk, err := filepath.EvalSymlinks("/usr/bin/awk"); err == nil { // by way of /etc/alternatives, in Debian
		tree.write("/etc/alternatives/awk", "-> "+awk)
	}
	return tree
}

// block is a unit as systemctl shows it, in whatever order.
func block(id string, properties ...string) string {
	return strings.Join(append([]string{"Id=" + id}, properties...), "\n") + "\n\n"
}

// trap: what ran is not what is to run: jobs came and went, a bus calls services for a moment, people log in.
func TestUnitsSayWhatIsNotChance(t *testing.T) {
	files := `ssh.service             enabled enabled
cron.service            enabled enabled
job.service             static  -
backup.service          static  -
backup.timer            enabled enabled
timedated.service       static  -
hand.service            disabled enabled
off.service             masked  enabled
stopped.service         enabled enabled
boot.service            enabled enabled
getty@.service          enabled enabled
dbus.service            static  -
dbus-org.x.service      alias   -
-.mount                 generated -
boot-efi.mount          generated -
old.service             generated -
session-3.scope         transient -
run-u7.service          transient -
clock.service           enabled enabled
mad.service             enabled enabled
`
	wanted := "WantedBy=b.target a.target"
	one := []string{
		block("ssh.service", "ActiveState=active", "SubState=running", "UnitFileState=enabled", "Type=notify", wanted, "Transient=no"),
		block("job.service", "ActiveState=inactive", "SubState=dead", "Type=oneshot", wanted),
		block("boot.service", "ActiveState=active", "SubState=exited", "Type=oneshot", wanted),
		block("backup.service", "ActiveState=failed", "SubState=failed", "Type=oneshot", "TriggeredBy=backup.timer"),
		block("backup.timer", "ActiveState=active", "SubState=waiting", wanted),
		block("timedated.service", "ActiveState=active", "SubState=running", "Type=notify", "BusName=org.x"),
		block("hand.service", "ActiveState=active", "SubState=running", "Type=simple"),
		block("stopped.service", "ActiveState=inactive", "SubState=dead", "Type=simple", wanted),
		block("getty@tty1.service", "ActiveState=active", "SubState=running", "UnitFileState=enabled", "Type=idle", wanted),
		block("user@1000.service", "ActiveState=active", "SubState=running", "Type=notify"),
		block("run-u7.service", "ActiveState=active", "SubState=running", "Type=simple", "Transient=yes"),
		block("clock.service", "ActiveState=inactive", "SubState=dead", "Type=notify", wanted, "ConditionResult=no", "ConditionTimestampMonotonic=123"),
		block("mad.service", "ActiveState=activating", "SubState=auto-restart", "Type=simple", wanted),
		block("cron.service", "ActiveState=failed", "SubState=failed", "Type=simple", wanted),
		block("gone.service", "LoadState=not-found", "ActiveState=inactive", wanted),
		block("old.service", "ActiveState=active", "SubState=running", "Type=forking", "RequiredBy=a.target"),
	}
	want := map[string]string{
		"ssh.service": "enabled active with 10-a.conf,b.conf", "cron.service": "enabled failed", "backup.service last-run": "failed", "backup.timer": "enabled active", "hand.service": "disabled active",
		"off.service": "masked", "stopped.service": "enabled inactive", "boot.service": "enabled", "getty@.service": "enabled", "getty@tty1.service": "enabled active", "clock.service": "enabled skipped",
		"mad.service": "enabled restarting", "old.service": "generated active", "dbus.service": "static replaced",
	}
	two := append([]string(nil), one...)
	for i, j := 0, len(two)-1; i < j; i, j = i+1, j-1 {
		two[i], two[j] = two[j], strings.Replace(two[i], "b.target a.target", "a.target b.target", 1)
	}
	var first []byte
	for _, order := range [][]string{one, two} {
		tree := shown(t, files, strings.Join(order, ""))
		tree.write("/etc/systemd/system/ssh.service.d/b.conf", "")
		tree.write("/etc/systemd/system/ssh.service.d/10-a.conf", "")
		tree.write("/etc/systemd/system/ssh.service.d/note.txt", "")
		tree.write("/etc/systemd/system/dbus.service", "")
		tree.write("/etc/systemd/system/own.service", "")
		if _, err := os.Stat("/usr/lib/systemd/system/dbus.service"); err != nil {
			delete(want, "dbus.service")
		}
		for _, words := range shells(t) {
			raw, why := said(t, group(t, "units"), "1", tree.at("/usr/local/sbin").run(words)...)
			if why != "" {
				t.Fatal(why)
			}
			same(t, items(t, group(t, "units"), raw), want)
			// trap: systemd lists units and what wants them in an order of chance.
			if first == nil {
				first = raw
			} else if !bytes.Equal(first, raw) {
				t.Errorf("%s: got\n%s\nbefore\n%s", words[0], raw, first)
			}
		}
	}
	if lane := parity.LaneOf("units", "backup.service last-run"); lane != parity.Volatile {
		t.Errorf("how a job ended is %q", lane)
	}
}

func TestNoManagerMakesUnitsUnknown(t *testing.T) {
	tree := newTree(t)
	tree.write("/run/x", "")
	for _, words := range shells(t) {
		for _, name := range []string{"units", "timers"} {
			if _, why := said(t, group(t, name), "1", tree.run(words)...); !strings.Contains(why, "no service manager") {
				t.Errorf("%s under %s: %q", name, words[0], why)
			}
		}
	}
	for _, raw := range []string{"", "x", "systemd\nssh.service enabled enabled\n"} {
		if got, err := group(t, "units").Parse([]byte(raw)); err == nil {
			t.Errorf("%q is %v", raw, got)
		}
	}
}

func TestUnitsOfOpenRC(t *testing.T) {
	tree := newTree(t)
	for _, name := range []string{"sshd", "crond", "ntpd", "rest"} {
		tree.write("/etc/init.d/"+name, "")
		tree.chmod("/etc/init.d/" + name)
	}
	tree.write("/etc/init.d/functions.sh", "")
	tree.write("/etc/runlevels/boot/sshd", "-> /etc/init.d/sshd")
	tree.write("/etc/runlevels/default/sshd", "-> /etc/init.d/sshd")
	tree.write("/etc/runlevels/default/ntpd", "-> /etc/init.d/ntpd")
	tree.write("/run/openrc/started/sshd", "-> /etc/init.d/sshd")
	tree.write("/run/openrc/started/crond", "-> /etc/init.d/crond")
	tree.write("/run/openrc/failed/ntpd", "-> /etc/init.d/ntpd")
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "units"), "1", tree.run(words)...)
		if why != "" {
			t.Fatal(why)
		}
		same(t, items(t, group(t, "units"), raw), map[string]string{"sshd": "enabled in boot,default active", "crond": "disabled active", "ntpd": "enabled in default failed", "rest": "disabled"})
		if raw, why = said(t, group(t, "timers"), "1", tree.run(words)...); why != "" || len(raw) > 0 {
			t.Errorf("timers: %q, %q", raw, why)
		}
	}
}

func TestTimersWithoutWhatIsNext(t *testing.T) {
	tree := shown(t, "", block("apt.timer", "Unit=apt.service", "TimersMonotonic={ OnBootUSec=15min ; next_elapse=15min }", "TimersCalendar={ OnCalendar=*-*-* 06,18:00:00 ; next_elapse=Sun 2026-11-22 06:31:45 UTC }",
		"RandomizedDelayUSec=12h", "Persistent=yes", "Transient=no")+
		block("other.timer", "Unit=job.service", "TimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=0 }", "Persistent=no", "RandomizedDelayUSec=0")+
		block("run-r1.timer", "Unit=run-r1.service", "TimersMonotonic={ OnActiveUSec=1s ; next_elapse=0 }", "Transient=yes")+block("masked.timer", "Unit="))
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "timers"), "1", tree.at("/usr/local/sbin").run(words)...)
		if why != "" {
			t.Fatal(why)
		}
		if strings.Contains(string(raw), "next") {
			t.Errorf("%s: a moment is in %s", words[0], raw)
		}
		same(t, items(t, group(t, "timers"), raw), map[string]string{
			"apt.timer": "OnBootSec=15min; OnCalendar=*-*-* 06,18:00:00; Persistent=yes; RandomizedDelaySec=12h", "other.timer": "OnUnitActiveSec=1d; Unit=job.service",
		})
	}
}

// trap: ephemeral ports, both stacks, loopback.
func TestPortsThatWait(t *testing.T) {
	low, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer low.Close()
	six, err := net.Listen("tcp6", "[::1]:0")
	conformance.Require(t, "ipv6", err)
	defer six.Close()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	client, err := net.Dial("udp4", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	everyShell(t, "ports", func(t *testing.T, r read) {
		got := r.known(t)
		for _, key := range []string{
			fmt.Sprintf("tcp/loopback/%d", low.Addr().(*net.TCPAddr).Port), fmt.Sprintf("tcp/loopback/%d", six.Addr().(*net.TCPAddr).Port),
			fmt.Sprintf("udp/loopback/%d-ephemeral", packets.LocalAddr().(*net.UDPAddr).Port),
		} {
			if item := itemAt(got, key); item.Value != "collectors.test" && item.Unknown == "" {
				t.Errorf("%s is %+v in %s", key, item, r.raw)
			}
		}
		if item := itemAt(got, fmt.Sprintf("udp/loopback/%d-ephemeral", client.LocalAddr().(*net.UDPAddr).Port)); item.Key != "" {
			t.Errorf("a client's socket is %+v", item)
		}
	})
	if !isRoot() {
		return
	}
	for _, words := range shells(t) {
		raw, why := said(t, group(t, "ports"), "0", plain(t, words)...)
		if why != "" {
			t.Fatal(why)
		}
		if item := itemAt(items(t, group(t, "ports"), raw), fmt.Sprintf("tcp/loopback/%d", low.Addr().(*net.TCPAddr).Port)); item.Key == "" || item.Unknown == "" {
			t.Errorf("%s: a plain user sees %+v", words[0], item)
		}
	}
}

// trap: where ls cannot list the processes, a port is not the kernel's for that.
func TestPortsOfProcessesThatCannotBeListedAreUnknown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	key := fmt.Sprintf("tcp/loopback/%d", listener.Addr().(*net.TCPAddr).Port)
	tree := newTree(t)
	tree.write("/usr/local/sbin/ls", "#!/bin/sh\nexit 126\n")
	tree.chmod("/usr/local/sbin/ls")
	for _, words := range shells(t) {
		if words[0] == "busybox" { // whose ls is its own
			continue
		}
		raw, why := said(t, group(t, "ports"), "1", tree.at("/usr/local/sbin").run(words)...)
		if item := itemAt(items(t, group(t, "ports"), raw), key); why != "" || item.Unknown == "" {
			t.Errorf("%s: %q, got %+v", words[0], why, item)
		}
	}
}

func TestPortsAreOneOfBothStacksAndOfTheirOldestHolder(t *testing.T) {
	same(t, items(t, group(t, "ports"), []byte("range 40000 50000\ntcp any 0016 ssh.service sshd\ntcp any 0016 - systemd\ntcp any 9C40 app.service app\ntcp any 9C41 - rpc.statd\nudp any 9C42 - kernel\ntcp loopback 177A - sshd-session\nudp address 0044 systemd-networkd.service systemd-network\ntcp any 0050 a@1.service my app\n")),
		map[string]string{
			"tcp/any/22": "sshd (ssh.service), systemd", "tcp/any/40000": "app (app.service)", "tcp/any/40001-ephemeral": "rpc.statd", "udp/any/40002-ephemeral": "kernel",
			"tcp/loopback/6010-ephemeral": "sshd-session",
			"udp/address/68":              "systemd-network (systemd-networkd.service)", "tcp/any/80": "my app (a@1.service)",
		})
}

const rulesOf = `table inet evenkeel {
	set from-db-4 {
		type ipv4_addr
		elements = { 10.1.0.9, 10.1.0.3,
			     10.1.0.12 }
	}

	set seen {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1h
		elements = { 10.9.9.9 timeout 1h expires 59m3s }
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { invalid : drop, established : accept, related : accept }
		ip saddr %[1]s tcp dport 5432 accept
		ip saddr %[2]s tcp dport 5432 accept
		ip6 saddr fd00::%[3]s tcp dport 5432 accept
		ip saddr 192.0.2.1 tcp dport 22 counter accept
		ip saddr @from-db-4 tcp dport 1 accept comment "a { b"
	}
}
`

func TestRulesOfTheFirewallReadAlikeInAllTiers(t *testing.T) {
	hosts := func(a, b, c string) string {
		return fmt.Sprintf("host %s web-1 web-1.shop.x web\nhost %s web-2 web-2.shop.x web\nhost fd00::%s web-3 web-3.shop.x web\nhost 10.0.0.250 db-1 db-1.shop.x db\n", a, b, c)
	}
	raw := func(a, b, c string) []byte { return []byte(hosts(a, b, c) + "nft\n" + fmt.Sprintf(rulesOf, a, b, c)) }
	one, two := items(t, group(t, "firewall"), raw("10.0.0.1", "10.0.0.2", "1")), items(t, group(t, "firewall"), raw("172.16.9.1", "172.16.9.7", "ab"))
	const key = "inet evenkeel chain input"
	want := strings.Join([]string{
		"ct state vmap { invalid : drop, established : accept, related : accept }", "saddr of web tcp dport 5432 accept", "ip saddr 192.0.2.1 tcp dport 22 counter accept",
		`ip saddr @from-db-4 tcp dport 1 accept comment "a { b"`,
	}, "\n")
	if got := itemAt(one, key); got.Body != want || !strings.HasPrefix(got.Value, "type filter hook input priority filter; policy drop; 4 rules sha256:") {
		t.Errorf("got %+v", got)
	}
	if itemAt(one, key) != itemAt(two, key) {
		t.Errorf("another tier's rules are %+v", itemAt(two, key))
	}
	if got := value(one, "inet evenkeel set from-db-4"); got != "type ipv4_addr; elements 10.1.0.12, 10.1.0.3, 10.1.0.9" {
		t.Errorf("got %q", got)
	}
	if lane := parity.LaneOf("firewall", "inet evenkeel set from-db-4"); lane != parity.Place {
		t.Errorf("a set of addresses is %q", lane)
	}
	if got := value(one, "inet evenkeel set seen"); strings.Contains(got, "10.9.9.9") {
		t.Errorf("got %q", got)
	}
	// One rule more, and nothing else, is one fact that differs.
	changed := items(t, group(t, "firewall"), []byte(hosts("10.0.0.1", "10.0.0.2", "1")+"nft\n"+strings.Replace(fmt.Sprintf(rulesOf, "10.0.0.1", "10.0.0.2", "1"), "dport 22", "dport 2222", 1)))
	differ := 0
	for _, item := range changed {
		if item != itemAt(one, item.Key) {
			differ++
		}
	}
	if differ != 1 || itemAt(changed, key) == itemAt(one, key) {
		t.Errorf("%d facts differ", differ)
	}
}

func TestRulesOfIptablesOfTheOldKind(t *testing.T) {
	got := items(t, group(t, "firewall"), []byte("host 10.0.0.1 web-1 web\nsaved ip legacy\n*filter\n:INPUT DROP\n:FORWARD ACCEPT\n:own -\n-A INPUT -s 10.0.0.1/32 -j own\n-A own -j ACCEPT\nCOMMIT\n*nat\n:OUTPUT ACCEPT\nCOMMIT\n"))
	if item := itemAt(got, "ip legacy filter chain INPUT"); item.Body != "-s of web -j own" || !strings.HasPrefix(item.Value, "policy DROP; 1 rules") {
		t.Errorf("got %+v of %v", item, got)
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

// resolverRules are what docker 20.10 laid in a container on a network of its own, as nft lists it there.
const resolverRules = `nft
table ip nat {
	chain DOCKER_OUTPUT {
		ip daddr 127.0.0.11 tcp dport 53 counter
		ip daddr 127.0.0.11 udp dport 53 counter
	}

	chain OUTPUT {
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.11 counter jump DOCKER_OUTPUT
	}

	chain DOCKER_POSTROUTING {
		ip saddr 127.0.0.11 tcp sport 34757 counter
		ip saddr 127.0.0.11 udp sport 54581 counter
	}

	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 127.0.0.11 counter jump DOCKER_POSTROUTING
	}
}
`

func TestRulesOfAContainersResolverAreTheOnlyOnesThatAreNotCompared(t *testing.T) {
	old := "saved ip legacy\n*nat\n:OUTPUT ACCEPT\n:DOCKER_OUTPUT -\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40311\n"
	for _, raw := range []string{resolverRules, strings.ReplaceAll(resolverRules, "ip daddr", "meta l4proto tcp ip daddr"), old} {
		for _, item := range items(t, group(t, "firewall"), []byte(raw)) {
			if lane := parity.LaneOf("firewall", item.Key); lane != parity.Volatile {
				t.Errorf("%s is %q", item.Key, lane)
			}
		}
	}
	for _, rule := range []string{
		`tcp dport 4444 accept comment "not to 127.0.0.11"`, "ip saddr != 127.0.0.11 accept", "ip daddr { 127.0.0.11, 192.0.2.1 } accept", "ip daddr 127.0.0.110 accept", "ip daddr 127.0.0.11/8 accept",
	} {
		raw := "nft\ntable ip filter {\n\tchain extra {\n\t\ttype filter hook input priority -10; policy accept;\n\t\t" + rule + "\n\t}\n}\n"
		for _, item := range items(t, group(t, "firewall"), []byte(raw)) {
			if lane := parity.LaneOf("firewall", item.Key); lane == parity.Volatile {
				t.Errorf("%s: %s is %q", rule, item.Key, lane)
			}
		}
	}
	shut := "nft\ntable ip filter {\n\tchain extra {\n\t\ttype filter hook input priority -10; policy drop;\n\t\tip saddr 127.0.0.11 accept\n\t}\n}\n"
	for _, item := range items(t, group(t, "firewall"), []byte(shut)) {
		if lane := parity.LaneOf("firewall", item.Key); lane == parity.Volatile {
			t.Errorf("a chain that drops all else: %s is %q", item.Key, lane)
		}
	}
}

func TestRulesThatEndTooEarlyAreUnknown(t *testing.T) {
	for _, raw := range []string{"nft\ntable ip x {\n\tchain y {\n", "nft\n}\n"} {
		if got, err := group(t, "firewall").Parse([]byte(raw)); err == nil {
			t.Errorf("%q is %v", raw, got)
		}
	}
}

// trap: nft and iptables-save load what they list; without it in the kernel they are not run.
func TestFirewallLoadsNothing(t *testing.T) {
	for kernel, has := range map[string]bool{"ffffffff T tcp_connect\n": false, "ffffffff t nf_tables_newtable\n": true} {
		tree := newTree(t)
		for _, program := range []string{"nft", "iptables-save", "iptables-legacy-save", "ip6tables-save", "ip6tables-legacy-save"} {
			tree.write("/usr/local/sbin/"+program, "#!/bin/sh\necho 'table ip x {'\necho '}'\n")
			tree.chmod("/usr/local/sbin/" + program)
		}
		tree.write("/proc/modules", "ext4 1 2 - Live 0x0\n")
		tree.write("/proc/kallsyms", kernel)
		tree.write("/proc/net/ip_tables_names", "")
		tree.write("/proc/sys/kernel/osrelease", "of-no-modules\n")
		tree.write("/sys/module/ext4/x", "")
		for _, words := range shells(t) {
			raw, why := said(t, group(t, "firewall"), "1", tree.at("/usr/local/sbin").at("/sys").at("/proc").run(words)...)
			if why != "" {
				t.Fatal(why)
			}
			if ran := strings.Contains(string(raw), "table"); ran != has {
				t.Errorf("%s, with nf_tables %t: %s", words[0], has, raw)
			}
		}
	}
}

// trap: iptables' own programs leave out what nft laid, and say so in a comment.
func TestRulesThatIptablesCannotShowAreUnknown(t *testing.T) {
	tree := newTree(t)
	for _, program := range []string{"iptables-nft-save", "ip6tables-nft-save"} {
		tree.write("/usr/local/sbin/"+program, "#!/bin/sh\necho \"# Table \\`x' is incompatible, use 'nft' tool.\"\n")
		tree.chmod("/usr/local/sbin/" + program)
	}
	tree.write("/proc/modules", "")
	tree.write("/sys/module/nf_tables/x", "")
	tree.write("/usr/sbin/x", "")
	g := group(t, "firewall")
	for _, words := range shells(t) {
		if raw, why := said(t, g, "1", tree.at("/usr/local/sbin").at("/usr/sbin").at("/sys").at("/proc").run(words)...); !strings.Contains(why, "leaves out what nft laid") {
			t.Errorf("%s: got %q, %q", words[0], raw, why)
		}
	}
}

func TestFirewallOfThisMachine(t *testing.T) {
	if !isRoot() {
		everyShell(t, "firewall", func(t *testing.T, r read) {
			if !strings.Contains(r.unknown, "only root") {
				t.Errorf("got %q", r.unknown)
			}
		})
		return
	}
	_, err := exec.LookPath("nft")
	conformance.Require(t, "nft", err)
	// In a network of its own, with rules of its own.
	for _, words := range shells(t) {
		command := append([]string{"unshare", "-n", "sh", "-c", `nft add table inet t && nft 'add chain inet t c { type filter hook input priority 0; policy drop; }' && nft add rule inet t c tcp dport 22 counter accept && exec "$@"`, "sh"}, words...)
		raw, why := said(t, group(t, "firewall"), "1", command...)
		if why != "" {
			t.Fatal(why)
		}
		if item := itemAt(items(t, group(t, "firewall"), raw), "inet t chain c"); item.Body != "tcp dport 22 counter accept" {
			t.Errorf("%s: got %+v of %s", words[0], item, raw)
		}
	}
}
