// SPDX-License-Identifier: Apache-2.0

package envtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/evenkeel/evenkeel/test/envtest"
)

// childVariable makes this program a package's tests that share an environment: it holds their definition.
const childVariable = "EVENKEEL_TEST_SHARED_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(envtest.Main(m))
	}
	os.Exit(withPlugin(m))
}

func withPlugin(m *testing.M) int {
	dir, err := os.MkdirTemp("", "evenkeel-envtest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "env-provider-fake"), "../../cmd/env-provider-fake")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for name, value := range map[string]string{
		"TMPDIR":               filepath.Join(dir, "tmp"), // also for what crashes on purpose
		"EVENKEEL_PLUGIN_PATH": filepath.Join(dir, "bin"), "HOME": dir, "XDG_STATE_HOME": filepath.Join(dir, "state"), "XDG_CACHE_HOME": filepath.Join(dir, "cache"),
		"EVENKEEL_TIER": "", "EVENKEEL_BOOT_DEADLINE": "60s",
	} {
		_ = os.Setenv(name, value)
	}
	return m.Run()
}

// project is a definition with a world of its own, which has to be empty in the end.
func project(t *testing.T) (file, world string) {
	t.Helper()
	dir := t.TempDir()
	world = filepath.Join(dir, "world")
	for name, text := range map[string]string{
		"env.yaml": `evenkeel: 1
name: shop
id: "a1b2c3"
image: web.yaml
secrets: {TOKEN: {env: SHOP_TOKEN}}
machines:
  web: {count: 2, stateless: true, allow: [{from: anywhere, port: 80}], health: {http: ":80/", within: 30s}}
  db: {data: [{name: pg, size: 16MiB, mount: /var/lib/pg}], health: {exec: '. /etc/evenkeel/settings.env; test "$BROKEN" != yes', within: 1s}}
tiers:
  ci: {provider: fake, ttl: 1h, config: {world: WORLD, http: [80]}}
  broken: {provider: fake, settings: {BROKEN: "yes"}, config: {world: WORLD, http: [80]}}
  elsewhere: {provider: nowhere}
`,
		"web.yaml": "from: debian:12\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "WORLD", world)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := os.ReadFile("../e2e/testdata/shop/images/web.lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web.lock"), lock, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "env.yaml"), world
}

// wantNothing wants no environment in a world.
func wantNothing(t *testing.T, world string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(world, "envs", "*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func get(t testing.TB, addr string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // one that is kept holds up the end of a fake machine
	res, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnEnvironmentIsThereForATestAndGoneAfterIt(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	out := filepath.Join(filepath.Dir(file), "out")
	t.Run("with", func(t *testing.T) {
		shop := envtest.Up(t, file, envtest.Tier("ci"), envtest.Locked(), envtest.Artifacts(out))
		if !strings.HasPrefix(shop.ID(), "shop.ci.run-") {
			t.Errorf("got environment %s", shop.ID())
		}
		if got := get(t, shop.Machine("web-2").Addr(80)); !strings.Contains(got, "web-2") {
			t.Errorf("web-2 answers %q", got)
		}
		db := shop.Machine("db") // there is only one
		if got, err := db.Run(t.Context(), "sh", "-c", "hostname; sudo cat /etc/evenkeel/secrets/TOKEN"); err != nil || got != "db-1\na-token-of-the-shop" {
			t.Errorf("got %q, %v", got, err)
		}
		_, err := db.Run(t.Context(), "sh", "-c", "echo no >&2; exit 7")
		if e, ok := errors.AsType[*envtest.Error](err); !ok || e.Status != 7 || e.Stderr != "no\n" || e.Machine != "db-1" {
			t.Errorf("got %v, want status 7 and what was said", err)
		}
		if text, err := db.Console(t.Context()); err != nil || text == "" {
			t.Errorf("got console %q, %v", text, err)
		}
		if got := slices.IndexFunc(shop.Variables(), func(v string) bool { return v == "EVENKEEL_ENV="+shop.ID() }); got < 0 {
			t.Errorf("got variables %q", shop.Variables())
		}
		ssh := exec.CommandContext(t.Context(), "ssh", "-F", shop.SSHConfig(), "web-1", "hostname")
		if text, err := ssh.CombinedOutput(); err != nil || string(text) != "web-1\n" {
			t.Errorf("ssh: %q, %v", text, err)
		}
		if n := len(shop.Machines()); n != 3 {
			t.Errorf("got %d machines", n)
		}
	})
	wantNothing(t, world)
	for _, name := range []string{"junit.xml", "events.jsonl", "db-1/console.txt", "web-1/journal.txt"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
}

// failing is a test that does not take this one with it.
type failing struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	failed   bool
	skipped  bool
	cleanups []func()
}

func (f *failing) Helper()                  {}
func (f *failing) Context() context.Context { return f.TB.Context() }
func (f *failing) Cleanup(c func())         { f.cleanups = append(f.cleanups, c) }
func (f *failing) Failed() bool             { return f.failed }
func (f *failing) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *failing) Errorf(format string, args ...any) { f.failed = true; f.Logf(format, args...) }
func (f *failing) Fatal(args ...any)                 { f.Fatalf("%s", fmt.Sprint(args...)) }
func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}
func (f *failing) Skipf(format string, args ...any) {
	f.skipped = true
	f.Logf(format, args...)
	runtime.Goexit()
}

// fails runs a test that may fail, and returns what became of it.
func fails(t *testing.T, test func(testing.TB)) *failing {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, c := range slices.Backward(f.cleanups) {
				c()
			}
		}()
		test(f)
	}()
	<-done
	return f
}

func (f *failing) text() string { return strings.Join(f.said, "\n") }

func TestAFailedBringUpSaysWhereAndWhyAndLeavesNothing(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	f := fails(t, func(t testing.TB) {
		envtest.Up(t, file, envtest.Tier("broken"), envtest.Locked())
		t.Errorf("it came up")
	})
	for _, want := range []string{"cannot bring up machine db-1: stage health failed", "hint: look into it", "the last lines of web-1's console:"} {
		if !f.failed || !strings.Contains(f.text(), want) {
			t.Errorf("failed %t, said\n%s\nwant %q in it", f.failed, f.text(), want)
		}
	}
	if strings.Contains(f.text(), "a-token-of-the-shop") || strings.Contains(f.text(), "it came up") {
		t.Errorf("said\n%s", f.text())
	}
	wantNothing(t, world)
}

func TestAFailedTestShowsWhatItsMachinesSaidLast(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	f := fails(t, func(t testing.TB) {
		shop := envtest.Up(t, file)
		shop.Machine("web-1").Addr(443)
	})
	for _, want := range []string{"port 443 of web-1 is not reached from here; say in env.yaml: allow", "the last lines of db-1's console:"} {
		if !strings.Contains(f.text(), want) {
			t.Errorf("said\n%s\nwant %q in it", f.text(), want)
		}
	}
	wantNothing(t, world)
	f = fails(t, func(t testing.TB) { envtest.Up(t, file).Machine("cache-1") })
	if !strings.Contains(f.text(), `there is no machine "cache-1" in shop.ci.run-`) {
		t.Errorf("said\n%s", f.text())
	}
	wantNothing(t, world)
}

func TestAProviderThatIsNotHereSkipsOnlyWhatMayBeSkipped(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, _ := project(t)
	text, err := os.ReadFile(file)
	if err == nil { // one that the project knows, and that has no plugin here
		err = os.WriteFile(file, []byte(strings.Replace(string(text), "provider: nowhere", "provider: metal", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options []envtest.Option
		require string
		skipped bool
	}{
		{[]envtest.Option{envtest.Optional()}, "", true},
		{[]envtest.Option{envtest.Optional()}, "docker,metal", false},
		{nil, "", false},
	} {
		t.Setenv("EVENKEEL_TEST_REQUIRE", c.require)
		f := fails(t, func(t testing.TB) { envtest.Up(t, file, append(c.options, envtest.Tier("elsewhere"))...) })
		if f.skipped != c.skipped || f.failed == c.skipped || !strings.Contains(f.text(), "no env-provider-metal in") || !strings.Contains(f.text(), "EVENKEEL_PLUGIN_PATH") {
			t.Errorf("required %q: skipped %t, failed %t, said\n%s", c.require, f.skipped, f.failed, f.text())
		}
	}
}

// TestShared is run by the next test, in processes of their own.
func TestShared(t *testing.T) {
	file := os.Getenv(childVariable)
	if file == "" {
		t.Skip("it is a part of TestPackagesOfOneGoTestShareAnEnvironment")
	}
	for range 2 {
		t.Run("", func(t *testing.T) {
			shop := envtest.Shared(t, file)
			id, err := shop.Machine("db-1").Run(t.Context(), "cat", "/etc/machine-id")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("has %s %s\n", shop.ID(), id)
			if os.Getenv("CRASH") != "" {
				os.Exit(3)
			}
			if os.Getenv("FAIL") != "" {
				t.Error("on order")
			}
		})
	}
}

// child runs the tests of a package that shares file's environment.
func child(t *testing.T, file, run string, more ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestShared$", "-test.v=false")
	cmd.Env = append(append(os.Environ(), childVariable+"="+file, "EVENKEEL_TEST_SHARED="+run), more...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// had are the environments and machines that a child said it had, each once.
func had(out string) (list []string) {
	for line := range strings.Lines(out) {
		if what, ok := strings.CutPrefix(line, "has "); ok && !slices.Contains(list, what) {
			list = append(list, what)
		}
	}
	return list
}

func TestPackagesOfOneGoTestShareAnEnvironment(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	const packages = 3
	var mu sync.Mutex
	var all []string
	var work sync.WaitGroup
	for range packages {
		work.Go(func() {
			out, err := child(t, file, "")
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			if one := had(out); len(one) != 1 {
				t.Errorf("a package had %q, want one environment\n%s", one, out)
			} else {
				all = append(all, one...)
			}
		})
	}
	work.Wait()
	ids := map[string]bool{}
	for _, one := range all {
		ids[strings.Fields(one)[0]] = true
	}
	if len(ids) != 1 { // the machines may be others, where one package was done before another one began
		t.Errorf("packages of one run had %v", all)
	}
	wantNothing(t, world)
}

func TestWhatACrashedRunSharedIsRemovedByTheNextOne(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	out, err := child(t, file, "first", "CRASH=1")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Fatalf("got %v, want a crash\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(world, "envs", "*")); len(left) != 1 {
		t.Fatalf("got %v, want what the crash left", left)
	}
	if out, err := child(t, file, "second"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	wantNothing(t, world)
}

func TestWhatAFailedTestSharedIsKeptWhereThatIsWanted(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "a-token-of-the-shop")
	file, world := project(t)
	out, err := child(t, file, "first", "FAIL=1", "EVENKEEL_TEST_KEEP=1")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, "is kept until the next") {
		t.Fatalf("got %v, want a failure\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(world, "envs", "*")); len(left) != 1 {
		t.Fatalf("got %v, want what failed\n%s", left, out)
	}
	if out, err := child(t, file, "second", "FAIL=1"); err == nil || strings.Contains(out, "is kept") {
		t.Errorf("%v\n%s", err, out)
	}
	wantNothing(t, world)
	for _, folder := range []string{"envtest", "locks", "copies", "tls"} {
		if left, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_STATE_HOME"), "evenkeel", folder, "*")); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	}
}
