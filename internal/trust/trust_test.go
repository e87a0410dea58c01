// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/evenkeel/evenkeel/internal/trust"
)

func missing(t *testing.T, s trust.Store, dir string, commands ...string) string {
	t.Helper()
	list, err := s.Missing(dir, commands)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, r := range list {
		out += r.Command + ": " + r.Why + "\n"
	}
	return out
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestConsentIsForACommandWordForWord(t *testing.T) {
	s, dir := trust.Store{Dir: filepath.Join(t.TempDir(), "state", "trust")}, t.TempDir()
	if got, want := missing(t, s, dir, "pass a", "pass b"), "pass a: new\npass b: new\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Allow(dir, []string{"pass a"}); err != nil {
		t.Fatal(err)
	}
	if got, want := missing(t, s, dir, "pass a", "pass b", "pass a; rm -rf ~"), "pass b: new\npass a; rm -rf ~: new\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := missing(t, s, t.TempDir(), "pass a"), "pass a: new\n"; got != want {
		t.Errorf("consent reached another project: got %q, want %q", got, want)
	}
}

func TestAChangedScriptAsksAgain(t *testing.T) {
	s, dir := trust.Store{Dir: t.TempDir()}, t.TempDir()
	commands := []string{"./bin/get.sh db", "sh 'bin/get.sh'", "X=$(" + dir + "/bin/get.sh); echo $X"}
	write(t, filepath.Join(dir, "bin/get.sh"), "echo 1")
	if err := s.Allow(dir, commands); err != nil {
		t.Fatal(err)
	}
	if got := missing(t, s, dir, commands...); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	write(t, filepath.Join(dir, "bin/get.sh"), "echo 2")
	want := ""
	for _, c := range commands {
		want += c + ": changed since: bin/get.sh\n"
	}
	if got := missing(t, s, dir, commands...); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.Remove(filepath.Join(dir, "bin/get.sh")); err != nil {
		t.Fatal(err)
	}
	if got := missing(t, s, dir, commands...); got != want {
		t.Errorf("with the script gone: got %q, want %q", got, want)
	}
}

func TestALinkThatLeadsElsewhereAsksAgain(t *testing.T) {
	s, dir := trust.Store{Dir: t.TempDir()}, t.TempDir()
	for _, target := range []string{"/bin/true", "/bin/false"} {
		link := filepath.Join(dir, "get")
		_ = os.Remove(link) // none at first
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got := missing(t, s, dir, "./get"); got == "" {
			t.Errorf("the link to %s needs no consent", target)
		}
		if err := s.Allow(dir, []string{"./get"}); err != nil {
			t.Fatal(err)
		}
		if got := missing(t, s, dir, "./get"); got != "" {
			t.Errorf("after consent got %q", got)
		}
	}
}

func TestAProjectIsTheSameThroughALink(t *testing.T) {
	s, dir := trust.Store{Dir: t.TempDir()}, t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := s.Allow(link, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if got := missing(t, s, dir, "a"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestConsentsAreListedAndRevoked(t *testing.T) {
	s, dir := trust.Store{Dir: t.TempDir()}, t.TempDir()
	if n, err := s.Revoke(dir); n != 0 || err != nil {
		t.Errorf("with nothing to revoke: got %d, %v", n, err)
	}
	if err := s.Allow(dir, []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Allow(dir, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil || len(all) != 1 || all[0].Dir != dir || len(all[0].Grants) != 2 || all[0].Grants[0].Allowed.IsZero() {
		t.Errorf("got %+v, %v", all, err)
	}
	if n, err := s.Revoke(dir); n != 2 || err != nil {
		t.Errorf("got %d, %v; want 2", n, err)
	}
	if got := missing(t, s, dir, "a"); got != "a: new\n" {
		t.Errorf("got %q", got)
	}
}

func TestABrokenRecordIsNoConsent(t *testing.T) {
	s, dir := trust.Store{Dir: t.TempDir()}, t.TempDir()
	if err := s.Allow(dir, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for _, text := range []string{"", "{", `{"project": "/elsewhere", "commands": [{"command": "a"}]}`} {
		write(t, files[0], text)
		if list, err := s.Missing(dir, []string{"a"}); err == nil {
			t.Errorf("%q: got %v and no error", text, list)
		}
	}
}
