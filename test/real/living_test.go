// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// edit changes the definition; what is not there to be changed fails the test.
func (s *site) edit(old, new string) {
	s.t.Helper()
	file := filepath.Join(s.dir, "env.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		s.t.Fatalf("env.yaml has no %q", old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// sql asks the example's database, as its owner on its own machine.
func (s *site) sql(statement string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run(0, "ssh", "db", "--", "cd /; sudo -u postgres psql -X -At -d shop -c \""+statement+"\""))
}

// wantPages holds that every web machine's page shows want.
func (s *site) wantPages(want string) {
	s.t.Helper()
	for _, name := range []string{"web-1", "web-2"} {
		if body := fetch(s.t, s.machines()[name]); !strings.Contains(body, want) {
			s.t.Errorf("the page of %s does not show %q:\n%s", name, want, body)
		}
	}
}

// The days after the first: what is changed is laid, what is kept stays, what rests comes back.
func TestTheShopIsLivedWith(t *testing.T) {
	s := newSite(t, func(yaml string) string { return strings.Replace(yaml, "name: shop\n", "name: realliving\n", 1) })
	t.Cleanup(func() {
		s.run(0, "down", "--data")
		s.wantNothing("realliving.laptop")
	})
	s.run(0, "up", "--locked")
	s.sql("INSERT INTO goods VALUES ('Sextant', 99, 1)")
	s.wantPages("Sextant")

	t.Run("rows travel over verified TLS only", func(t *testing.T) {
		const ask = "PGHOST=db PGUSER=shop PGDATABASE=shop PGCONNECT_TIMEOUT=20 PGSSLROOTCERT=/etc/evenkeel/tls/ca.pem"
		const psql = " sudo -E $(ls -d /usr/lib/postgresql/*/bin/psql) -X -At -c 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()' 2>&1"
		const pair = " PGSSLCERT=/etc/evenkeel/tls/cert.pem PGSSLKEY=/etc/evenkeel/tls/key.pem"
		if out := s.run(0, "ssh", "web-1", "--", "export "+ask+pair+" PGSSLMODE=verify-full;"+psql); out != "t\n" {
			t.Errorf("with the machine's certificate: got %q, want t", out)
		}
		if out, said, status := s.try("ssh", "web-1", "--", "export "+ask+" PGSSLMODE=disable;"+psql); status == 0 {
			t.Errorf("without TLS: status 0, %s%s", out, said)
		}
		if out, said, status := s.try("ssh", "web-1", "--", "export "+ask+" PGSSLMODE=verify-full;"+psql); status == 0 {
			t.Errorf("without a certificate: status 0, %s%s", out, said)
		}
	})

	// A point in time, and back.
	s.run(0, "snapshot", "save", "before-it")
	s.sql("DELETE FROM goods WHERE name = 'Sextant'")
	s.run(0, "snapshot", "restore", "before-it")
	s.wantPages("Sextant")

	// A new machine, the old rows.
	key := s.run(0, "ssh", "db", "--", "cat /etc/ssh/ssh_host_ed25519_key.pub")
	s.run(1, "rebuild", "db")
	s.run(0, "rebuild", "db", "--allow-downtime")
	if s.run(0, "ssh", "db", "--", "cat /etc/ssh/ssh_host_ed25519_key.pub") == key {
		t.Error("the rebuilt machine has the host key of the old one")
	}
	if got := s.sql("SELECT count(*) FROM goods"); got != "4" {
		t.Errorf("after rebuild the database has %s goods, want 4", got)
	}
	s.wantPages("Sextant")

	// A setting needs no new machine.
	s.edit("SHOP_TITLE: The shop", "SHOP_TITLE: The chandlery")
	s.run(0, "up", "--locked")
	s.wantPages("The chandlery")

	// Rest.
	s.run(0, "suspend")
	s.run(0, "resume")
	s.run(0, "status", "--check")
	s.wantPages("Sextant")
	s.run(0, "stop", "web-2")
	s.run(0, "start")
	s.wantPages("Sextant")

	// Data outlives the environment's machines.
	if out := s.run(0, "down"); !strings.Contains(out, "pg") {
		t.Errorf("down does not name the data disk it keeps:\n%s", out)
	}
	s.run(0, "up", "--locked")
	s.wantPages("Sextant")

	// Today's packages, whether some moved since the lock was written or not.
	if out, said, status := s.try("refresh", "--dry-run"); status != 0 && status != 2 {
		t.Errorf("refresh --dry-run: status %d\n%s%s", status, out, said)
	}
	s.run(0, "refresh", "web")
	s.wantPages("Sextant")
}
