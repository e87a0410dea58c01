// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"archive/tar"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/internal/progress"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Commit is what git says of a folder of the project.
type Commit struct {
	ID    string   // 40 or 64 hex digits
	Dirty []string // paths in the folder that differ from the commit, the first few
}

// Name is what is recorded on machines.
func (c Commit) Name() string {
	if len(c.Dirty) > 0 {
		return c.ID + "-dirty"
	}
	return c.ID
}

// dirtyShown is how many differing paths a refusal names.
const dirtyShown = 5

// Inspect says which commit dir is at, and what in it differs from that.
func Inspect(ctx context.Context, dir string) (Commit, error) {
	cannot := func(why string) (Commit, error) {
		return Commit{}, fmt.Errorf("cannot deliver %s: %s; places that are not on this computer get the project's code as a commit of git", dir, why)
	}
	if _, err := exec.LookPath("git"); err != nil {
		return cannot("there is no git here")
	}
	if out, err := git(ctx, dir, nil, "rev-parse", "--is-inside-work-tree"); ctx.Err() != nil {
		return Commit{}, context.Cause(ctx)
	} else if err != nil && strings.Contains(err.Error(), "dubious ownership") {
		return cannot("git does not trust a repository that belongs to another user")
	} else if err != nil || strings.TrimSpace(string(out)) != "true" {
		return cannot("it is in no git repository")
	}
	id, err := git(ctx, dir, nil, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return cannot("the repository has no commit yet")
	}
	status, err := git(ctx, dir, nil, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--", ".")
	if err != nil {
		return Commit{}, fmt.Errorf("cannot deliver %s: %w", dir, err)
	}
	c := Commit{ID: strings.TrimSpace(string(id))}
	for line := range strings.SplitSeq(string(status), "\x00") {
		if len(line) > 3 && len(c.Dirty) < dirtyShown {
			c.Dirty = append(c.Dirty, line[3:])
		}
	}
	tree, err := git(ctx, dir, nil, "ls-tree", "-r", "-z", c.ID, ".")
	if err != nil {
		return Commit{}, fmt.Errorf("cannot deliver %s: %w", dir, err)
	}
	if len(c.Dirty) == 0 && len(tree) == 0 {
		return cannot(fmt.Sprintf("commit %.12s holds nothing of it", c.ID))
	}
	for line := range strings.SplitSeq(string(tree), "\x00") {
		if _, name, _ := strings.Cut(line, "\t"); strings.HasPrefix(line, "160000 ") {
			return cannot(fmt.Sprintf("%s is a submodule, whose files are no part of the commit", name))
		}
	}
	return c, nil
}

// The file .evenkeel-commit in the machine's folder names the commit that it holds: it comes with the folder, in one step.
//
//go:embed deliver.sh
var deliverScript string

// Deliver makes p.To on the machine what commit holds of p.From, owned by the user that client is logged in as. It is unpacked beside, then
// the folders change places in one step where the machine's kernel can. A machine that holds the commit already is left alone: delivered is false.
// After failure or cancel p.To is what it was.
func Deliver(ctx context.Context, client *ssh.Client, p Pair, commit Commit, o Options) (delivered bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot deliver %s to %s of machine %s: %w", p.From, p.To, p.Machine, err)
		}
	}()
	m := machine{client, p.To}
	has, byUser, err := m.delivered(ctx)
	if err != nil || has == commit.Name() && len(commit.Dirty) == 0 {
		return false, err
	}
	as, line, owner := m, deliverScript, "" // who may make a folder beside
	if !byUser {
		if o.Login == nil {
			return false, fmt.Errorf("the folder above belongs to somebody else")
		}
		owner, as.client, line = o.User, o.Login, "exec sudo -n sh -c "+ssh.Quote(deliverScript)+` sh "$@"`
	}
	beside := path.Dir(p.To) + "/" + ours + "new-" + rand.Text()
	if err := as.run(ctx, line, nil, nil, "make", p.To, beside, owner); err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWait)
			defer cancel()
			_ = as.run(last, line, nil, nil, "drop", p.To, beside, owner) // err says what went wrong; a later run removes what stays
		}
	}()
	o.Progress.Emit(progress.Event{Subject: p.Machine, Stage: "code", Detail: fmt.Sprintf("commit %.12s to %s", commit.Name(), p.To)})
	if err := m.unpack(ctx, p, commit, beside); err != nil {
		return false, err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWait) // begun, it runs to its end
	defer cancel()
	return true, as.run(last, line, nil, nil, "switch", p.To, beside, owner)
}

// delivered says which commit m's folder holds, "" for none, and whether its user may make folders beside it.
func (m machine) delivered(ctx context.Context) (name string, byUser bool, err error) {
	const script = `id=
if [ -f "$1/.evenkeel-commit" ]; then IFS= read -r id <"$1/.evenkeel-commit" || :; fi
mkdir -p -- "${1%/*}/" 2>/dev/null || :
if [ -w "${1%/*}/" ]; then w=yes; else w=no; fi
printf '%s %s\n' "$w" "$id"`
	out := &bounded.Limited{Most: 1 << 10}
	if err := m.run(ctx, script, nil, out, m.dir); err != nil {
		return "", false, err
	}
	writable, name, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	return commitName(name), writable == "yes", nil
}

// commitName is text where it is the name of a commit, else "": it comes from a machine.
func commitName(text string) string {
	id := strings.TrimSuffix(text, "-dirty")
	if (len(id) != 40 && len(id) != 64) || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return text
}

// Delivered reads which commits the folders at to hold, in their order; "" where none was delivered.
func Delivered(ctx context.Context, client *ssh.Client, to []string) ([]string, error) {
	const script = `for d; do id=
if [ -f "$d/.evenkeel-commit" ]; then IFS= read -r id <"$d/.evenkeel-commit" || :; fi
printf '%s\n' "$id"; done`
	out := &bounded.Limited{Most: 200 * (len(to) + 1)}
	if err := (machine{client: client}).run(ctx, script, nil, out, to...); err != nil {
		return nil, fmt.Errorf("cannot read which commit was delivered: %w", err)
	}
	names := make([]string, len(to))
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if i < len(names) {
			names[i] = commitName(line)
		}
	}
	return names, nil
}

// unpack sends the commit to the folder beside. That all of it arrived is known only here: nothing takes effect before the next command.
func (m machine) unpack(ctx context.Context, p Pair, commit Commit, beside string) error {
	const script = `umask 022; tar -x -p -f - -C "$1" && printf '%s\n' "$2" >"$1/.evenkeel-commit"`
	return m.feed(ctx, script, func(w io.Writer) error { return archive(ctx, w, p.From, commit) }, beside, commit.Name())
}

// archive writes what commit holds of dir; of a dirty one what dir holds now and git does not ignore.
func archive(ctx context.Context, to io.Writer, dir string, commit Commit) error {
	if len(commit.Dirty) > 0 {
		return archiveNow(ctx, to, dir)
	}
	cmd := exec.CommandContext(ctx, "git", "archive", "--format=tar", commit.ID)
	cmd.Dir, cmd.Env, cmd.Stdout = dir, gitEnv(), to
	said := &bounded.Tail{}
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git archive: %w: %s", err, trimmed(said))
	}
	return nil
}

func archiveNow(ctx context.Context, to io.Writer, dir string) error {
	h, err := openHost(ctx, dir)
	if err != nil {
		return err
	}
	defer h.root.Close()
	t, skip, err := h.scan(ctx)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(skip)) {
		return fmt.Errorf("cannot take %s along: %s", p, skip[p])
	}
	w := tar.NewWriter(to)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := h.pack(w, "", name, t[name]); err != nil {
			return fmt.Errorf("cannot take %s along: %w", name, err)
		}
	}
	return w.Close()
}
