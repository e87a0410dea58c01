// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func TestAnAddressThatStandsForAKindIsNamedAndAdmitted(t *testing.T) {
	c := world(t, nil)(web("1"))
	c.Plan.External = map[string]string{"db": "192.0.2.7:5432", "cache": "[2001:db8::7]:6379"}
	c.Plan.Machines[0].Allow = []envs.Rule{{From: "db", PortLow: 80, PortHigh: 80, Proto: "tcp"}, {From: "cache", PortLow: 81, PortHigh: 81, Proto: "tcp"}}
	m := up(t, c, providers.UpOptions{}).Machines[0]
	if got := on(t, c, m, "getent hosts db cache; ls /etc/evenkeel"); !strings.Contains(got, "192.0.2.7") || !strings.Contains(got, "2001:db8::7") || strings.Contains(got, "external") {
		t.Errorf("got %q", got)
	}
	rules := on(t, c, m, "nft list chain inet evenkeel input")
	for _, want := range []string{"ip saddr 192.0.2.7 tcp dport 80 accept", "ip6 saddr 2001:db8::7 tcp dport 81 accept"} {
		if !strings.Contains(rules, want) {
			t.Errorf("rules lack %q:\n%s", want, rules)
		}
	}
}

func TestAHostThatStandsForAKindIsFoundOnTheMachineAndFollowed(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := up(t, c, providers.UpOptions{}).Machines[0]
	at := func(addresses ...string) {
		t.Helper()
		line := "echo multi on >/etc/host.conf; sed -i '/acme.example/d' /etc/hosts"
		for _, a := range addresses {
			line += "; sed -i '1i" + a + " db.acme.example' /etc/hosts" // in front, as what is not ours
		}
		on(t, c, m, line)
	}
	c.Plan.External = map[string]string{"db-main": "db.acme.example:5432"}
	c.Plan.Machines[0].Allow = []envs.Rule{{From: "db-main", PortLow: 80, PortHigh: 80, Proto: "tcp"}}
	if _, err := c.Up(t.Context(), providers.UpOptions{}); err == nil || !strings.Contains(err.Error(), "db.acme.example, which stands for db-main, does not resolve") {
		t.Errorf("a host that does not resolve: got %v", err)
	}
	const refresh = "sh /etc/evenkeel/external.sh; echo status $?; grep db-main$ /etc/hosts; nft list set inet evenkeel from-db-main-4 | grep elements; nft list set inet evenkeel from-db-main-6 | grep elements || :"
	at("192.0.2.7", "2001:db8::7")
	up(t, c, providers.UpOptions{})
	want := func(got string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("got %q, want %q in it", got, w)
			}
		}
	}
	want(on(t, c, m, refresh), "status 0", "192.0.2.7 db-main\n", "2001:db8::7 db-main\n", "elements = { 192.0.2.7 }", "elements = { 2001:db8::7 }")
	want(on(t, c, m, "nft list chain inet evenkeel input; grep timer /var/log/systemctl"), "ip saddr @from-db-main-4 tcp dport 80 accept", "start evenkeel-external.timer")
	if res := up(t, c, providers.UpOptions{}); res.Changed() {
		t.Errorf("up again came to %+v", res.Changes)
	}
	at("192.0.2.8", "192.0.2.9")
	want(on(t, c, m, refresh), "192.0.2.8 db-main", "192.0.2.9 db-main", "{ 192.0.2.8, 192.0.2.9 }")
	at() // it does not resolve for a while
	want(on(t, c, m, refresh), "does not resolve", "status 0", "192.0.2.8 db-main", "{ 192.0.2.8, 192.0.2.9 }")
	// As at boot, or when other rules are laid: what was found last is loaded with them.
	want(on(t, c, m, "nft -f /etc/nftables.conf; nft list set inet evenkeel from-db-main-4"), "{ 192.0.2.8, 192.0.2.9 }")

	c.Plan.External, c.Plan.Machines[0].Allow = nil, nil
	up(t, c, providers.UpOptions{})
	got := on(t, c, m, "grep -c db-main /etc/hosts; ls /etc/evenkeel /etc/evenkeel/nft | grep external; grep 'stop evenkeel' /var/log/systemctl; nft list sets | grep from-; :")
	if got != "0\nstop evenkeel-external.timer\n" {
		t.Errorf("left are %q", got)
	}
}
