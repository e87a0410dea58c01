// SPDX-License-Identifier: Apache-2.0

// Package shop_test tests the shop on machines of its own: `go test` here. docs/envtest.md says what it needs; where that is not there it is skipped, unless
// EVENKEEL_TEST_REQUIRE=docker.
package shop_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/test/envtest"
)

// TestMain lets all tests here have one environment, and removes it after them.
func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

func up(t *testing.T) *envtest.Env {
	t.Helper()
	return envtest.Shared(t, "env.yaml", envtest.Tier("ci"), envtest.Locked(), envtest.Optional())
}

// page is what a web server shows.
func page(t *testing.T, m *envtest.Machine) string {
	t.Helper()
	res, err := http.Get("http://" + m.Addr(80) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers with status %d, %v:\n%s", m.Name(), res.StatusCode, err, text)
	}
	return string(text)
}

// sql asks the database itself.
func sql(t *testing.T, db *envtest.Machine, query string) string {
	t.Helper()
	out, err := db.Run(t.Context(), "sudo", "-u", "postgres", "psql", "--no-psqlrc", "-d", "shop", "-Atc", query)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// Both web servers read the database, over TLS and by name.
func TestEachWebServerShowsWhatTheDatabaseHolds(t *testing.T) {
	shop := up(t)
	want := sql(t, shop.Machine("db"), "SELECT name FROM goods ORDER BY name LIMIT 1")
	for _, name := range []string{"web-1", "web-2"} {
		if text := page(t, shop.Machine(name)); want == "" || !strings.Contains(text, want) || !strings.Contains(text, "Served by "+name) {
			t.Errorf("%s shows\n%s\nwant %q in it", name, text, want)
		}
	}
}

// Rows are text, whatever they look like.
func TestARowIsShownAsItIs(t *testing.T) {
	shop := up(t)
	sql(t, shop.Machine("db"), "INSERT INTO goods VALUES ('<b>Bilge</b> pump', 49, 2) ON CONFLICT DO NOTHING")
	if text := page(t, shop.Machine("web-1")); !strings.Contains(text, "&lt;b&gt;Bilge&lt;/b&gt; pump") {
		t.Errorf("web-1 shows\n%s", text)
	}
}
