// SPDX-License-Identifier: Apache-2.0

package images_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each archive is a project whose images/web.yaml is loaded; "want" is all that is told about it.
func TestEveryProblemOfARecipeIsTold(t *testing.T) {
	cases, err := filepath.Glob("testdata/recipe/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := map[string]string{}, ""
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					files[f.Name] = string(f.Data)
				}
			}
			dir := writeProject(t, files)
			r, problems, err := images.LoadRecipe(filepath.Join(dir, "images/web.yaml"), dir)
			if err != nil {
				t.Fatal(err)
			}
			if (r == nil) != (problems.Err() != nil) {
				t.Errorf("got recipe %v beside %d problems; want a recipe exactly where no problem is an error", r, len(problems))
			}
			var out bytes.Buffer
			if err := problem.Print(&out, problems, false); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(out.String(), dir, "PROJECT")
			if *update {
				a.Files = append(a.Files[:len(files):len(files)], txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestASourceThroughALinkOutOfTheProjectIsRefused(t *testing.T) {
	dir := writeProject(t, map[string]string{"images/web.yaml": "from: debian:12\nfiles: {/etc/x: {source: link}}\n"})
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "images/link")); err != nil {
		t.Fatal(err)
	}
	_, problems, err := images.LoadRecipe(filepath.Join(dir, "images/web.yaml"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "outside the project") {
		t.Errorf("got %v; want a problem that says the file lies outside the project", err)
	}
}

// Whoever changes what every image holds makes the example's locks anew.
func TestTheExamplesLocksFit(t *testing.T) {
	for _, name := range []string{"web", "db"} {
		if load(t, "../envs/examples/shop", "images/"+name+".yaml").Lock == nil {
			t.Errorf("%s has no lock that fits: run evenkeel image lock in envs/examples/shop", name)
		}
	}
}

func FuzzLoadRecipe(f *testing.F) {
	f.Add("from: debian:12\npackages: [nginx=1.2]\n")
	f.Add("from: debian:12\nfiles: {/etc/x: {content: y, mode: \"0644\"}}\nusers: {a: {uid: 5}}\n")
	f.Add("from: [debian:12]\nsources: [{url: http://x, suite: y/, key: k}]\nsysctl: {vm.x: 1}\nfetch: [{}]\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		name := filepath.Join(dir, "web.yaml")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, problems, err := images.LoadRecipe(name, dir)
		if err == nil && (r == nil) != (problems.Err() != nil) {
			t.Errorf("got recipe %v, problems %v", r, problems)
		}
	})
}

func TestRestartOnIsSortedAndNotPartOfTheImage(t *testing.T) {
	withLock := func(services string) *images.Recipe {
		dir := writeProject(t, map[string]string{"web.yaml": "from: debian:12\nservices: {" + services + "}\n"})
		r := load(t, dir, "web.yaml")
		r.Lock = &images.Lock{From: "debian:12", Arch: "amd64", Wants: images.WantsOf(r)}
		return r
	}
	plain, restarted := withLock("shop: enabled"), withLock("shop: {state: enabled, restart_on: [tls, settings]}, nginx: {restart_on: secrets}")
	want := map[string][]string{"shop": {"settings", "tls"}, "nginx": {"secrets"}}
	if diff := cmp.Diff(want, restarted.RestartOn); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if plain.Key() != restarted.Key() {
		t.Errorf("got the keys %s and %s; want one: restart_on changes nothing in the tree", plain.Key(), restarted.Key())
	}
	if other := withLock("shop: {state: disabled, restart_on: tls}"); other.Key() == plain.Key() {
		t.Errorf("got the key %s for another state too", other.Key())
	}
}
