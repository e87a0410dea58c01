// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// rules say which paths below a folder of the host git ignores.
type rules interface {
	// list names every file and link that is not ignored, unsorted. A name may be there twice or not exist.
	list(ctx context.Context) ([]string, error)
	// ignored are those of paths, which need not exist, that are.
	ignored(ctx context.Context, paths []string) (map[string]bool, error)
}

// rulesOf are git's own where dir lies in a work tree of it and git is there, else those of the .gitignore files below dir.
func rulesOf(ctx context.Context, dir string) rules {
	out, err := git(ctx, dir, nil, "rev-parse", "--is-inside-work-tree")
	if err == nil && strings.TrimSpace(string(out)) == "true" {
		return gitRules{dir}
	}
	return &fileRules{dir: dir}
}

// git runs git in dir.
func git(ctx context.Context, dir string, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	cmd.Env = gitEnv()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, text)
	}
	return out, err
}

// gitEnv is our environment without what a hook of git has set for its own repository.
func gitEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"}, name)
	})
	return append(env, "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
}

type gitRules struct{ dir string }

func (g gitRules) list(ctx context.Context) ([]string, error) { return g.below(ctx, "", 0) }

// maxNested is how deep repositories may lie in each other.
const maxNested = 20

// below lists the repository that holds sub; those nested in it are listed by their own rules.
func (g gitRules) below(ctx context.Context, sub string, depth int) ([]string, error) {
	out, err := git(ctx, filepath.Join(g.dir, sub), nil, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var all []string
	for name := range strings.SplitSeq(string(out), "\x00") {
		p := path.Join(sub, name)
		if name == "" {
			continue
		}
		if len(all) > maxEntries {
			return nil, errTooMany
		}
		// Another repository is one name: with a slash where nobody registered it, without where it is a submodule.
		info, err := os.Lstat(filepath.Join(g.dir, p))
		if err != nil || !info.IsDir() {
			all = append(all, p)
			continue
		}
		if depth == maxNested {
			return nil, fmt.Errorf("cannot list %s: repositories are nested deeper than %d", p, maxNested)
		}
		if _, err := os.Lstat(filepath.Join(g.dir, p, ".git")); err != nil {
			continue // a submodule that is not checked out
		}
		nested, err := g.below(ctx, p, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, nested...)
	}
	return all, nil
}

func (g gitRules) ignored(ctx context.Context, paths []string) (map[string]bool, error) {
	all := map[string]bool{}
	own, nested := g.sort(paths)
	if len(own) > 0 {
		stdin := []byte(strings.Join(own, "\x00") + "\x00")
		out, err := git(ctx, g.dir, stdin, "check-ignore", "-z", "--stdin")
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) { // 1: none is
			return nil, err
		}
		for name := range strings.SplitSeq(string(out), "\x00") {
			all[name] = true
		}
		delete(all, "")
	}
	for repository, names := range nested {
		if all[repository] {
			for _, n := range names {
				all[path.Join(repository, n)] = true
			}
			continue
		}
		more, err := gitRules{filepath.Join(g.dir, repository)}.ignored(ctx, names)
		if err != nil {
			return nil, err
		}
		for n := range more {
			all[path.Join(repository, n)] = true
		}
	}
	return all, nil
}

// sort tells apart what this repository says something of, and what lies in those nested in it, which it is an error to ask for; their own names are asked for. What lies
// behind a symbolic link is in none, and ignored by none.
func (g gitRules) sort(paths []string) (own []string, nested map[string][]string) {
	const (
		plain = iota
		linked
		repository
	)
	nested = map[string][]string{}
	is := map[string]int{}
	look := func(dir string) int {
		if what, ok := is[dir]; ok {
			return what
		}
		info, err := os.Lstat(filepath.Join(g.dir, dir))
		switch {
		case err != nil || info.IsDir():
			if _, err := os.Lstat(filepath.Join(g.dir, dir, ".git")); err == nil {
				is[dir] = repository
			}
		default:
			is[dir] = linked
		}
		return is[dir]
	}
	for _, p := range paths {
		if parents(p, func(dir string) bool {
			switch look(dir) {
			case repository:
				if nested[dir] == nil {
					own = append(own, dir)
				}
				nested[dir] = append(nested[dir], p[len(dir)+1:])
			case plain:
				return true
			}
			return false
		}) {
			own = append(own, p)
		}
	}
	return own, nested
}

// fileRules are .gitignore files where git does not say.
type fileRules struct {
	dir     string
	matcher gitignore.Matcher
}

func (f *fileRules) list(ctx context.Context) ([]string, error) {
	var all []string
	var patterns []gitignore.Pattern
	f.matcher = gitignore.NewMatcher(nil)
	err := filepath.WalkDir(f.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rel, err := filepath.Rel(f.dir, name)
		if err != nil {
			return err
		}
		parts := strings.Split(filepath.ToSlash(rel), "/")
		if rel == "." {
			parts = nil
		} else if d.Name() == ".git" || f.matcher.Match(parts, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() {
			if len(all) > maxEntries {
				return errTooMany
			}
			all = append(all, strings.Join(parts, "/"))
			return nil
		}
		more, err := ignoreFile(filepath.Join(name, ".gitignore"), parts)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			patterns = append(patterns, more...)
			f.matcher = gitignore.NewMatcher(patterns)
		}
		return nil
	})
	return all, err
}

// ignoreFile reads one .gitignore, which holds for what lies below domain. Absent is empty.
func ignoreFile(name string, domain []string) ([]gitignore.Pattern, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []gitignore.Pattern
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			list = append(list, gitignore.ParsePattern(line, domain))
		}
	}
	return list, nil
}

func (f *fileRules) ignored(_ context.Context, paths []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, p := range paths {
		parts := strings.Split(p, "/")
		info, err := os.Lstat(filepath.Join(f.dir, p))
		folder := err == nil && info.IsDir()
		for i := range parts { // an ignored folder takes all below it along
			if f.matcher.Match(parts[:i+1], folder || i+1 < len(parts)) {
				all[p] = true
				break
			}
		}
	}
	return all, nil
}
