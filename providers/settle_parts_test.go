// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// with gives web-N secrets; values as strings.
func with(c *providers.Core, secrets map[string]string) {
	m := &c.Plan.Machines[0]
	m.Secrets = map[string]envs.Secret{}
	c.Secrets = envs.Values{m.Name: {}}
	for name, value := range secrets {
		m.Secrets[name] = envs.Secret{Env: name}
		c.Secrets[m.Name][name] = envs.NewValue([]byte(value))
	}
}

// reasonsOf are why a machine was settled; its action must be that.
func reasonsOf(t *testing.T, res *providers.Result) string {
	t.Helper()
	if got := res.Changes[0]; got.Action != providers.Settle {
		t.Fatalf("got %+v, want it settled", got)
	}
	return strings.Join(res.Changes[0].Reasons, "; ")
}

func TestSecretsAreRootsAloneAndGoWithTheirDefinition(t *testing.T) {
	c := world(t, nil)(web("1"))
	with(c, map[string]string{"DB_PASSWORD": "hunter2\n", "TOKEN": "x\x00y"})
	m := up(t, c, providers.UpOptions{}).Machines[0]
	const look = "cd /etc/evenkeel; stat -c '%n %a %u' secrets secrets/* settings.env settled; cat secrets/TOKEN | od -An -c; cat secrets/DB_PASSWORD"
	want := "secrets 700 0\nsecrets/DB_PASSWORD 600 0\nsecrets/TOKEN 600 0\nsettings.env 600 0\nsettled 640 0\n   x  \\0   y\nhunter2\n"
	if got := on(t, c, m, look); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if res := up(t, c, providers.UpOptions{}); res.Changed() {
		t.Errorf("up again came to %+v", res.Changes)
	}
	with(c, map[string]string{"DB_PASSWORD": "changed"})
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "secrets changed" {
		t.Errorf("reasons are %q", got)
	}
	if got := on(t, c, m, "cd /etc/evenkeel/secrets; ls -A; cat *"); got != "DB_PASSWORD\nchanged" {
		t.Errorf("left are %q", got)
	}
	with(c, nil)
	up(t, c, providers.UpOptions{})
	// The last of it goes behind the script's back.
	const rest = "for i in $(seq 300); do [ -e /etc/evenkeel/.settle ] || break; sleep 0.1; done; ls -A /etc/evenkeel/secrets /etc/evenkeel/.settle 2>/dev/null || :"
	if got := on(t, c, m, rest); got != "/etc/evenkeel/secrets:\n" {
		t.Errorf("left are %q", got)
	}
}

func TestARecordTellsNothingOfASecretWithoutItsSalt(t *testing.T) {
	at := world(t, nil)
	c := at(web("1"), web("2"))
	for i := range c.Plan.Machines {
		c.Plan.Machines[i].Secrets = map[string]envs.Secret{"PIN": {Env: "PIN"}}
	}
	pin := envs.NewValue([]byte("1234"))
	c.Secrets = envs.Values{"web-1": {"PIN": pin}, "web-2": {"PIN": pin}}
	res := up(t, c, providers.UpOptions{})
	var said []string
	for _, m := range res.Machines {
		said = append(said, on(t, c, m, "grep '^secrets ' /etc/evenkeel/settled"))
	}
	if said[0] == said[1] || len(said[0]) != len("secrets \n")+64 {
		t.Errorf("one secret on two machines is recorded as %q and %q", said[0], said[1])
	}
	if sum := sha256.Sum256([]byte("1234")); strings.Contains(said[0], hex.EncodeToString(sum[:])) {
		t.Error("the record is a plain digest")
	}
}

func TestServicesAreRestartedWhenWhatTheyReadChanged(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := &c.Plan.Machines[0]
	m.Settings = map[string]string{"TITLE": "one"}
	m.RestartOn = map[string][]string{"settings": {"shop", "stopped"}, "secrets": {"shop", "worker"}, "tls": {"proxy"}}
	there := up(t, c, providers.UpOptions{}).Machines[0]
	on(t, c, there, "systemctl start shop worker proxy; systemctl stop stopped; : >/var/log/systemctl")
	restarts := func() string {
		return on(t, c, there, "grep ^restart /var/log/systemctl || :; : >/var/log/systemctl")
	}
	if up(t, c, providers.UpOptions{}); restarts() != "" {
		t.Error("restarted although nothing changed")
	}
	m.Settings = map[string]string{"TITLE": "two"}
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "settings changed; restarted shop" {
		t.Errorf("reasons are %q", got)
	}
	if got := restarts(); got != "restart shop\n" {
		t.Errorf("restarts are %q", got)
	}
	with(c, map[string]string{"PIN": "1"})
	m.Settings = map[string]string{"TITLE": "three"}
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "settings, secrets changed; restarted shop, worker" {
		t.Errorf("reasons are %q", got)
	}
	if got := restarts(); got != "restart shop\nrestart worker\n" {
		t.Errorf("restarts are %q", got)
	}
	c.Plan.Access.Keys = append(c.Plan.Access.Keys, c.Identity.PublicKeys()[0]+" again")
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "keys changed" || restarts() != "" {
		t.Errorf("reasons are %q", got)
	}
}

func TestWhatAKilledSettleMayHaveLaidIsTakenForChanged(t *testing.T) {
	c := world(t, nil)(web("1"))
	m := &c.Plan.Machines[0]
	m.Settings = map[string]string{"TITLE": "one"}
	m.RestartOn = map[string][]string{"settings": {"shop"}}
	there := up(t, c, providers.UpOptions{}).Machines[0]
	on(t, c, there, "systemctl start shop; echo laying >/etc/evenkeel/settled")
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "it was not settled in full; restarted shop" {
		t.Errorf("reasons are %q", got)
	}
	// The other run that laid something since this one looked is the same case.
	on(t, c, there, "sed -i 's/^settings .*/settings -/' /etc/evenkeel/settled")
	if got := reasonsOf(t, up(t, c, providers.UpOptions{})); got != "settings changed; restarted shop" {
		t.Errorf("reasons are %q", got)
	}
}

func TestAFirstSettleRestartsWhatRanWithoutItsSettings(t *testing.T) {
	c := world(t, nil)(web("1"))
	c.Plan.Machines[0].Settings = map[string]string{"TITLE": "one"}
	c.Plan.Machines[0].RestartOn = map[string][]string{"settings": {"ssh", "later"}, "secrets": {"nftables"}}
	m := up(t, c, providers.UpOptions{}).Machines[0] // its ssh and nftables run from boot
	if got := on(t, c, m, "grep ^restart /var/log/systemctl"); got != "restart ssh\n" {
		t.Errorf("restarts are %q", got)
	}
}

func TestACheckWithoutSecretsSaysThatItDoesNotKnow(t *testing.T) {
	c := world(t, nil)(web("1"))
	with(c, map[string]string{"PIN": "1"})
	up(t, c, providers.UpOptions{})
	status := func() providers.Status {
		t.Helper()
		list, err := c.Status(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	if s := status(); s.Ready == nil || !*s.Ready {
		t.Errorf("with its secrets: ready %v, %s", s.Ready, s.Reason)
	}
	values := c.Secrets
	c.Secrets = nil
	if s := status(); s.Ready != nil || !strings.Contains(s.Reason, "secrets were not read here") {
		t.Errorf("without its secrets: ready %v, %s", s.Ready, s.Reason)
	}
	if _, err := c.Up(t.Context(), providers.UpOptions{}); err != nil {
		t.Errorf("up that has nothing to lay: %v", err)
	}
	c.Plan.Machines[0].Settings = map[string]string{"A": "b"}
	if s := status(); s.Ready == nil || *s.Ready || !strings.Contains(s.Reason, "settings not as defined") {
		t.Errorf("with other settings: ready %v, %s", s.Ready, s.Reason)
	}
	if _, err := c.Up(t.Context(), providers.UpOptions{}); err == nil || !strings.Contains(err.Error(), "secrets were not read") {
		t.Errorf("up that has something to lay: got %v", err)
	}
	c.Secrets = values
	if res := up(t, c, providers.UpOptions{}); reasonsOf(t, res) != "settings changed" {
		t.Errorf("got %+v", res.Changes)
	}
}

func TestUserAuthoritiesLetInTheLoginUsersAlone(t *testing.T) {
	c := world(t, nil)(web("1"))
	ca := strings.Join(strings.Fields(c.Identity.PublicKeys()[0])[:2], " ")
	c.Plan.Access = envs.Access{User: "deploy", UserCA: []string{ca + " acme"}}
	m := up(t, c, providers.UpOptions{}).Machines[0]
	want := fmt.Sprintf("cert-authority,principals=%q %s acme\n", "deploy", ca)
	if got := on(t, c, m, "grep cert-authority /etc/evenkeel/authorized_keys/deploy"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Plan.Access = envs.Access{}
	up(t, c, providers.UpOptions{})
	if got := on(t, c, m, "cd /etc/evenkeel/authorized_keys; ls; grep -c cert-authority * || :"); got != "evenkeel\n0\n" {
		t.Errorf("left are %q", got)
	}
}

func TestAClockThatIsOffIsSetOnThisComputersMachines(t *testing.T) {
	cases := map[string]struct {
		says   func() string
		traits providers.Traits
		want   bool
	}{
		"an hour behind":      {func() string { return fmt.Sprintf("%d.5", time.Now().Unix()-3600) }, providers.Traits{Local: true}, true},
		"ahead":               {func() string { return fmt.Sprintf("%d", time.Now().Unix()+10) }, providers.Traits{Local: true}, true},
		"right":               {func() string { return fmt.Sprintf("%d", time.Now().Unix()) }, providers.Traits{Local: true}, false},
		"behind, of a cloud":  {func() string { return "1000" }, providers.Traits{}, false},
		"behind, a container": {func() string { return "1000" }, providers.Traits{Local: true, HostKernel: true}, false},
		"no clock":            {func() string { return "noon" }, providers.Traits{Local: true}, false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var set []string
			c, p := answer(t, func(_ context.Context, s *sshtest.Session) int {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(s.Command, "EPOCHREALTIME") {
					fmt.Fprintln(s.Stdout, "clock "+test.says())
				}
				if line, ok := strings.CutPrefix(s.Command, "sudo -n date -u -s @"); ok {
					set = append(set, line)
				}
				return 0
			})
			c.Plugin.Traits = test.traits
			p.finished(c, nil)
			if _, err := c.Up(t.Context(), providers.UpOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := len(set) > 0; got != test.want {
				t.Fatalf("set to %v, want it set: %t", set, test.want)
			}
			if !test.want {
				return
			}
			if to, err := strconv.ParseFloat(set[0], 64); err != nil || time.Since(time.UnixMilli(int64(to*1000))).Abs() > 5*time.Second {
				t.Errorf("set to %q: %v", set[0], err)
			}
		})
	}
}

func TestAMachineThatSaysTooMuchOfItselfIsAFailure(t *testing.T) {
	c, p := answer(t, func(_ context.Context, s *sshtest.Session) int {
		fmt.Fprint(s.Stdout, strings.Repeat("salt 0\n", 1<<20))
		return 0
	})
	p.finished(c, nil)
	if _, err := c.Up(t.Context(), providers.UpOptions{}); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("got %v", err)
	}
}
