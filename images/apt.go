// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// apt is a private apt in one folder: its own sources, indexes and idea of what is installed. It works without root and neither reads nor
// writes the host's package state. Of the host's configuration it takes over only how archives are reached.
type apt struct {
	dir  string
	env  []string
	line func(string)
}

// aptPackage is what apt chose.
type aptPackage struct {
	url, file, sha256 string
	size              int64
}

// transports are the parts of the host's apt configuration that say how archives are reached and how old their indexes may be.
var transports = []string{
	"Acquire::http::", "Acquire::https::", "Acquire::Retries ", "Acquire::ForceIPv4 ", "Acquire::ForceIPv6 ",
	"Acquire::Check-Valid-Until ", "Acquire::Check-Date ", "Acquire::Max-ValidTime ",
}

// newApt lays out dir, which must exist and be empty.
func newApt(ctx context.Context, dir string, archives []archive, pins []want, line func(string)) (*apt, error) {
	a := &apt{dir: dir, line: line, env: toolEnv("APT_CONFIG=" + filepath.Join(dir, "apt.conf"))}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if v := os.Getenv(name); v != "" {
			a.env = append(a.env, name+"="+v)
		}
	}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "etc/preferences.d", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	config, err := hostTransport(ctx)
	if err != nil {
		return nil, err
	}
	if err := layKeys(dir, archives); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"apt.conf":        aptConfig(dir) + config,
		"sources.list":    aptSources(archives),
		"etc/preferences": aptPreferences(pins),
		"status":          "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// layKeys writes the keys that the recipe brings into dir, as they were when the recipe was loaded, and tells the archives so.
func layKeys(dir string, archives []archive) error {
	for i, a := range archives {
		if a.key == nil {
			continue
		}
		archives[i].keyring = filepath.Join(dir, fmt.Sprintf("key-%d%s", i, a.key.keyExt()))
		if err := os.WriteFile(archives[i].keyring, a.key.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func aptConfig(dir string) string {
	return fmt.Sprintf(`Dir %[1]q;
Dir::State "state";
Dir::State::status %[2]q;
Dir::Cache "cache";
Dir::Log "log";
Dir::Etc "etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist %[3]q;
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::Etc::netrc "/etc/apt/auth.conf";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
`, dir, filepath.Join(dir, "status"), filepath.Join(dir, "sources.list"))
}

func aptSources(archives []archive) string {
	var b strings.Builder
	for _, a := range archives {
		fmt.Fprintf(&b, "deb [arch=amd64 signed-by=%s] %s %s %s\n", strings.ReplaceAll(a.keyring, " ", "%20"), a.url, a.suite, strings.Join(a.components, " "))
	}
	return b.String()
}

// aptPreferences makes apt choose the wanted versions, over newer and installed ones (apt_preferences(5): 1000 and above).
func aptPreferences(pins []want) string {
	var b strings.Builder
	for _, w := range pins {
		if w.Version != "" {
			fmt.Fprintf(&b, "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", w.Name, w.Version)
		}
	}
	return b.String()
}

func hostTransport(ctx context.Context) (string, error) {
	out, err := runTool(ctx, toolEnv(), nil, "apt-config", "dump")
	if err != nil {
		return "", fmt.Errorf("cannot read this machine's apt configuration: %w", err)
	}
	var keep strings.Builder
	for line := range strings.Lines(string(out)) {
		for _, t := range transports {
			if strings.HasPrefix(line, t) {
				keep.WriteString(line)
				break
			}
		}
	}
	return keep.String(), nil
}

// update fetches the indexes. Each must be signed by its archive's key; anything less is an error, never a warning.
func (a *apt) update(ctx context.Context) error {
	_, err := runTool(ctx, a.env, a.line, "apt-get", "update", "--error-on=any")
	return err
}

// choose is what apt would install for these packages over what status says is installed, without recommendations, and without removing.
func (a *apt) choose(ctx context.Context, packages []string) ([]aptPackage, error) {
	args := append([]string{"install", "--print-uris", "-qq", "--yes", "--no-remove", "--no-install-recommends", "--"}, packages...)
	out, err := runTool(ctx, a.env, a.line, "apt-get", args...)
	if err != nil {
		if why := a.unmet(ctx, packages); why != "" && ctx.Err() == nil {
			err = fmt.Errorf("%w\n%s", err, why)
		}
		return nil, err
	}
	var chosen []aptPackage
	for line := range strings.Lines(string(out)) {
		p, err := parseURILine(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// unmet are the first dependencies that keep apt from choosing packages, a line each: it tells of them only where it tells of everything. "" where it tells of none.
func (a *apt) unmet(ctx context.Context, packages []string) string {
	args := append([]string{"install", "--dry-run", "-q", "--yes", "--no-remove", "--no-install-recommends", "--"}, packages...)
	out, _ := runTool(ctx, a.env, nil, "apt-get", args...) // it fails as it did before
	_, list, _ := strings.Cut(string(out), "unmet dependencies:\n")
	var lines []string
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); line == "" || len(lines) == 10 {
			break
		}
		lines = append(lines, fmt.Sprintf("  %.300s", line))
	}
	return strings.Join(lines, "\n")
}

// parseURILine reads a line of apt-get --print-uris: 'http://host/pool/n_1%2b2_all.deb' n_1+2_all.deb 1234 SHA256:00ff...
func parseURILine(line string) (aptPackage, error) {
	f := strings.Fields(line)
	if len(f) == 4 && len(f[0]) > 2 {
		size, err := strconv.ParseInt(f[2], 10, 64)
		sum, found := strings.CutPrefix(f[3], "SHA256:")
		if err == nil && found && hexDigest.MatchString(sum) && size > 0 {
			return aptPackage{url: strings.Trim(f[0], "'"), file: f[1], size: size, sha256: sum}, nil
		}
	}
	return aptPackage{}, fmt.Errorf("apt named a package without size or SHA-256: %.300q", line)
}

// index is one downloaded Packages file.
type index struct {
	url, suite string // as in sources.list; url without a slash at its end
	file       string
}

func (a *apt) indexes(ctx context.Context) ([]index, error) {
	out, err := runTool(ctx, a.env, nil, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(FILENAME)", "Identifier: Packages")
	if err != nil {
		return nil, err
	}
	var found []index
	for line := range strings.Lines(string(out)) {
		if f := strings.SplitN(strings.TrimSpace(line), " ", 3); len(f) == 3 {
			found = append(found, index{url: strings.TrimRight(f[0], "/"), suite: f[1], file: f[2]})
		}
	}
	return found, nil
}

// date is when the signed index that an index belongs to was made.
func (a *apt) date(ix index) (time.Time, error) {
	lists := filepath.Dir(ix.file)
	entries, err := os.ReadDir(lists)
	if err != nil {
		return time.Time{}, err
	}
	best, bestLen := "", 0
	for _, e := range entries {
		stem, found := strings.CutSuffix(e.Name(), "InRelease")
		if !found {
			stem, found = strings.CutSuffix(e.Name(), "Release")
		}
		if found && len(stem) > bestLen && strings.HasPrefix(filepath.Base(ix.file), stem) {
			best, bestLen = e.Name(), len(stem)
		}
	}
	if best == "" {
		return time.Time{}, fmt.Errorf("cannot find the signed index of %s %s", ix.url, ix.suite)
	}
	data, err := os.ReadFile(filepath.Join(lists, best))
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(data)) {
		if text, found := strings.CutPrefix(line, "Date:"); found {
			return parseReleaseDate(strings.TrimSpace(text))
		}
	}
	return time.Time{}, fmt.Errorf("the signed index of %s %s bears no date", ix.url, ix.suite)
}

// parseReleaseDate reads RFC 2822 as archives write it, in UTC.
func parseReleaseDate(text string) (time.Time, error) {
	for _, layout := range []string{"Mon, 2 Jan 2006 15:04:05 MST", time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05 -0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("cannot read the date %.60q of a signed index", text)
}

// install makes apt believe that these packages, given by their index stanzas, are installed.
func (a *apt) install(stanzas [][]byte) error {
	var b bytes.Buffer
	for _, s := range stanzas {
		b.Write(bytes.TrimRight(s, "\n"))
		b.WriteString("\nStatus: install ok installed\n\n")
	}
	return os.WriteFile(filepath.Join(a.dir, "status"), b.Bytes(), 0o600)
}

// runTool runs a program of the host and returns its standard output, also of one that fails; standard error goes to line, and its end into the error.
func runTool(ctx context.Context, env []string, line func(string), name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	lines := &lineWriter{each: line}
	cmd.Stdout, cmd.Stderr = io.Writer(&out), lines
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	lines.flush()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return out.Bytes(), fmt.Errorf("%s: %w:\n%s", name, err, lines.tail())
	}
	return out.Bytes(), nil
}
