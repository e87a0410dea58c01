// SPDX-License-Identifier: Apache-2.0

// Package layout_test holds the import rule and the fences of ARCHITECTURE.md over what go list says, test files left out.
package layout_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/evenkeel/evenkeel"

// order is the import rule: a package imports only what stands left of it.
var order = []string{"internal", "images", "envs", "providers", "parity", "cmd"}

// fences name what may import a module, by the folders below ours.
var fences = []struct{ module, only string }{
	{"github.com/urfave/cli", "cmd/"},
	{"libvirt.org/go", "providers/libvirt"},
	{"github.com/docker/docker", "providers/docker"},
	{"github.com/hashicorp/go-plugin", "providers/plugin"},
	{"google.golang.org/grpc", "providers/plugin"},
	{"google.golang.org/protobuf", "providers/plugin"},
	{"golang.org/x/crypto/ssh", "providers/ssh"},
	{"github.com/fsnotify/fsnotify", "providers/sync"},
	{"github.com/go-git/go-git", "providers/sync"},
	{"github.com/kevinburke/ssh_config", "providers/hosts"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rank is where a package of ours stands on the line; -1 for others and for test/, which may import all.
func rank(path string) (int, string) {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return -1, ""
	}
	top, _, _ := strings.Cut(rest, "/")
	return slices.Index(order, top), rest
}

func TestPackagesImportOnlyWhatStandsLeftOfThem(t *testing.T) {
	seen := 0
	for _, p := range list(t, "./...") {
		at, name := rank(p.ImportPath)
		if at < 0 {
			continue
		}
		seen++
		for _, imp := range p.Imports {
			to, target := rank(imp)
			if strings.HasPrefix(target, "test/") {
				t.Errorf("%s imports %s: only tests import test/", name, target)
			}
			if to > at {
				t.Errorf("%s imports %s: the line is %s", name, target, strings.Join(order, " < "))
			}
		}
	}
	if seen < 10 {
		t.Errorf("go list showed %d packages of ours; the check looked at nothing", seen)
	}
}

func TestProvidersDoNotKnowEachOther(t *testing.T) {
	shared := []string{"providers/ssh", "providers/ssh/sshtest", "providers/plugin", "providers/plugin/proto"}
	for _, p := range list(t, "./providers/...") {
		_, name := rank(p.ImportPath)
		for _, imp := range p.Imports {
			_, target := rank(imp)
			if !strings.HasPrefix(target, "providers/") || slices.Contains(shared, target) || strings.HasPrefix(target, name+"/") {
				continue
			}
			if sibling, _, _ := strings.Cut(strings.TrimPrefix(target, "providers/"), "/"); !strings.HasPrefix(name, "providers/"+sibling) {
				t.Errorf("%s imports %s: implementations never import each other", name, target)
			}
		}
		if strings.HasPrefix(name, "providers/ssh") {
			for _, imp := range p.Imports {
				if _, target := rank(imp); target == "providers" {
					t.Errorf("%s imports providers: ssh knows nothing of them", name)
				}
			}
		}
	}
}

func TestFencesHold(t *testing.T) {
	for _, p := range list(t, "./...") {
		_, name := rank(p.ImportPath)
		for _, f := range fences {
			for _, imp := range p.Imports {
				if (imp == f.module || strings.HasPrefix(imp, f.module+"/")) && !strings.HasPrefix(name, f.only) {
					t.Errorf("%s imports %s, which is fenced to %s", name, imp, f.only)
				}
			}
		}
	}
}

func TestMainBinaryHasNoCgoOfOurs(t *testing.T) {
	for _, p := range list(t, "./cmd/env") {
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "libvirt.org/") || strings.HasPrefix(dep, module+"/providers/libvirt") {
				t.Errorf("the main binary depends on %s", dep)
			}
		}
	}
}
