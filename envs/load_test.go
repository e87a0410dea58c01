// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// inProject writes files into a new folder, goes there, and returns it.
func inProject(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// golden runs every case of testdata/FOLDER: an archive of a project's files, whose comment's words behind "options:" say how to plan. The part
// "want" is what got returns.
func golden(t *testing.T, folder string, got func(t *testing.T, options []string) string) {
	cases, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases found: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			file, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			var inputs []txtar.File
			want := "there is no part want; run go test -update"
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				inputs = append(inputs, f)
				files[f.Name] = string(f.Data)
			}
			dir := inProject(t, files)
			_, options, _ := strings.Cut(string(a.Comment), "options:")
			out := strings.ReplaceAll(got(t, strings.Fields(options)), dir, "$DIR")
			if *update {
				a.Files = append(inputs, txtar.File{Name: "want", Data: []byte(out)})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if out != want {
				t.Errorf("got:\n%s\nwant:\n%s", out, want)
			}
		})
	}
}

func printed(t *testing.T, l problem.List) string {
	t.Helper()
	var b bytes.Buffer
	if err := problem.Print(&b, l, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLoadTellsEveryProblem(t *testing.T) {
	golden(t, "load", func(t *testing.T, _ []string) string {
		def, problems, err := envs.Load("env.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if (def == nil) != (problems.Err() != nil) {
			t.Errorf("definition is %v beside the problems %v", def, problems)
		}
		return printed(t, problems)
	})
}

func TestPlan(t *testing.T) {
	golden(t, "plan", func(t *testing.T, options []string) string {
		def, problems, err := envs.Load("env.yaml")
		if err != nil || def == nil {
			t.Fatalf("cannot load: %v %v", err, problems)
		}
		var o envs.Options
		for _, word := range options {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "tier":
				o.Tier = value
			case "as":
				o.As = value
			case "locked":
				o.Locked = true
			case "providers":
				o.Providers = strings.Split(value, ",")
			default:
				t.Fatalf("unknown option %q", word)
			}
		}
		plan, problems := envs.MakePlan(def, o)
		if (plan == nil) != (problems.Err() != nil) {
			t.Errorf("plan is %v beside the problems %v", plan, problems)
		}
		out := printed(t, problems)
		if plan != nil {
			// One line for each machine.
			machines := plan.Machines
			plan.Machines = nil
			out += line(t, plan)
			for _, m := range machines {
				out += line(t, m)
			}
		}
		return out
	})
}

func line(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}

const (
	minimal = "evenkeel: 1\nname: shop\nid: \"7f3a9c\"\nimage: web.yaml\nmachines: {web: {}}\ntiers: {laptop: {provider: libvirt}}\n"
	recipe  = "from: debian:12\n"
	// A public key made for these tests; its private half was thrown away.
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBv0nYDR3zJ7+8zMXwbjYp5bDAZ0lQhlMvzE6sUc1Eq0 someone@example"
)

func TestUnreadableContentIsAProblemOfTheFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "env.yaml: the file is empty"},
		"binary":    {"\x7fELF\x00\x01", "env.yaml: the file is binary: byte 5 is NUL"},
		"oversized": {minimal + strings.Repeat("#", 1<<20), "env.yaml: the file is larger than 1MiB, the most that is read"},
		"aliases":   {minimal + "x0: &a0 [a, a, a, a, a, a, a, a, a]\n" + bomb(), "comes to more than 50000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			inProject(t, map[string]string{"env.yaml": c.text, "web.yaml": recipe})
			def, problems, err := envs.Load("env.yaml")
			if def != nil || err != nil || !strings.Contains(problems.Error(), c.want) {
				t.Errorf("got %v, %v, error %v; want %q", def, problems, err, c.want)
			}
		})
	}
}

func bomb() string {
	var b strings.Builder
	for i := range 9 {
		n, next := string(rune('0'+i)), string(rune('1'+i))
		b.WriteString("x" + next + ": &a" + next + " [" + strings.Repeat("*a"+n+", ", 8) + "*a" + n + "]\n")
	}
	return b.String()
}

func TestAnAbsentFileIsAnError(t *testing.T) {
	inProject(t, nil)
	if _, _, err := envs.Load("env.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestLinksOutOfTheProjectAreRefused(t *testing.T) {
	outside := t.TempDir()
	for name, text := range map[string]string{"web.yaml": recipe, "me.pub": publicKey} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inProject(t, map[string]string{"env.yaml": minimal + "access: {keys: [me.pub]}\n"})
	for _, name := range []string{"web.yaml", "me.pub"} {
		if err := os.Symlink(filepath.Join(outside, name), name); err != nil {
			t.Fatal(err)
		}
	}
	def, problems, err := envs.Load("env.yaml")
	if def != nil || err != nil {
		t.Fatalf("got %v, error %v", def, err)
	}
	for _, want := range []string{"env.yaml:4:8: image: the recipe web.yaml cannot be used: path escapes", "env.yaml:7:17: access.keys[0]: the file me.pub cannot be used: path escapes"} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("got %v; want it to say %q", problems, want)
		}
	}
}

func TestSpecialFilesBlockNothing(t *testing.T) {
	inProject(t, map[string]string{"env.yaml": minimal + "access: {keys: [pipe]}\n"})
	for _, name := range []string{"web.yaml", "pipe"} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, problems, err := envs.Load("env.yaml")
	if err != nil || len(problems) != 2 {
		t.Errorf("got %v, error %v; want two problems", problems, err)
	}
}

func TestKeysAreBounded(t *testing.T) {
	many := ""
	for i := range 501 {
		many += fmt.Sprintf("%s%d\n", publicKey, i)
	}
	for want, text := range map[string]string{
		"the file id is larger than 64KiB":             strings.Repeat("#\n", 40_000),
		"the files hold 501 keys; allowed are 500":     many,
		"this line holds bytes that are no text":       publicKey + "\x1b[31m\n",
		"the file id cannot be used: no such file":     "",
		"options before the key are not supported":     "command=\"x\" " + publicKey,
		"the key is too short":                         "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAQ==",
		"the key is no base64":                         publicKey[:31],
		"the key inside is not of the type that stand": "ssh-rsa /////w==",
	} {
		files := map[string]string{"env.yaml": minimal + "access: {keys: [id]}\n", "web.yaml": recipe, "id": text}
		if text == "" {
			delete(files, "id")
		}
		inProject(t, files)
		if def, problems, err := envs.Load("env.yaml"); def != nil || err != nil || !strings.Contains(problems.Error(), want) {
			t.Errorf("got %v, %v, %v; want %q", def, problems, err, want)
		}
	}
}

func TestAPrivateKeyIsNeverShown(t *testing.T) {
	const secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ"
	for name, text := range map[string]string{
		"openssh":  "-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret + "\n-----END OPENSSH PRIVATE KEY-----\n",
		"putty":    "PuTTY-User-Key-File-3: ssh-ed25519\n" + secret + "\n",
		"headless": secret + "\n" + secret + "\n",
		"typed":    "ssh-ed25519 " + secret + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			inProject(t, map[string]string{"env.yaml": minimal + "access: {keys: [id]}\n", "web.yaml": recipe, "id": text})
			def, problems, err := envs.Load("env.yaml")
			if def != nil || err != nil {
				t.Fatalf("got %v, error %v", def, err)
			}
			data, err := json.Marshal(problems)
			if err != nil {
				t.Fatal(err)
			}
			if all := printed(t, problems) + string(data); strings.Contains(all, secret[:12]) {
				t.Errorf("the key is shown:\n%s", all)
			}
		})
	}
}

func TestFindPassesOverFilesOfOthers(t *testing.T) {
	dir := inProject(t, map[string]string{
		"env.yaml":             "evenkeel: 1\n",
		"a/env.yaml":           "name: conda-env\n",
		"a/b/env.yaml/x":       "a folder of that name",
		"a/b/c/d/x":            "",
		"broken/env.yaml":      "evenkeel: 1\n\tbroken: {\n",
		"broken/flow/env.yaml": "{name: x, evenkeel: 1}",
	})
	file, passed, err := envs.Find("a/b/c/d")
	if want := filepath.Join(dir, "env.yaml"); err != nil || file != want {
		t.Errorf("got %q, %v; want %q", file, err, want)
	}
	var names []string
	for _, p := range passed {
		names = append(names, strings.TrimPrefix(p.File, dir+"/"))
		if p.Severity != problem.Note {
			t.Errorf("%s is no note", p)
		}
	}
	if got, want := strings.Join(names, " "), "a/b/env.yaml a/env.yaml"; got != want {
		t.Errorf("passed over %q, want %q", got, want)
	}
	for from, want := range map[string]string{"broken": "broken/env.yaml", "broken/flow": "broken/flow/env.yaml"} {
		if file, _, err := envs.Find(from); err != nil || file != filepath.Join(dir, want) {
			t.Errorf("from %s got %q, %v; want %s", from, file, err, want)
		}
	}
}

func TestFindReturnsNothingWhereThereIsNone(t *testing.T) {
	file, passed, err := envs.Find(t.TempDir())
	if file != "" || len(passed) != 0 || err != nil {
		t.Errorf("got %q, %v, %v", file, passed, err)
	}
}

func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data, []byte("tiers: {laptop: {machines: {web: {cpus: 2}}}}"))
	}
	f.Add([]byte(minimal), []byte("tiers: {laptop: {publish: {web-1: {80: 8080}}}}"))
	f.Fuzz(func(t *testing.T, data, local []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"env.yaml": data, "env.local.yaml": local, "web.yaml": []byte(recipe), "key.pub": []byte(publicKey)} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		def, problems, err := envs.Load(filepath.Join(dir, "env.yaml"))
		if err != nil {
			t.Fatalf("an error for readable files: %v", err)
		}
		if (def == nil) != (problems.Err() != nil) {
			t.Fatalf("definition is %v beside the problems %v", def, problems)
		}
		if def == nil {
			return
		}
		for name := range def.Tiers {
			plan, problems := envs.MakePlan(def, envs.Options{Tier: name})
			if (plan == nil) != (problems.Err() != nil) {
				t.Fatalf("plan is %v beside the problems %v", plan, problems)
			}
			if plan != nil && (len(plan.Env) > 40 || len(plan.Machines) == 0) {
				t.Fatalf("malformed plan %+v", plan)
			}
		}
	})
}
