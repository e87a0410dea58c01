// SPDX-License-Identifier: Apache-2.0

package sync

import (
	"archive/tar"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// pushScript holds the functions that a push's second command is written in.
//
//go:embed push.sh
var pushScript string

// stageScript unpacks its input beside the files that it is to become. What a run that died left goes first: whoever syncs holds the baseline's lock.
const stageScript = `cd -P -- "$1" && rm -rf .evenkeel-stage-* && umask 077 && mkdir "$2" && umask 022 && exec tar -x -p -f - -C "$2"`

// push is what one run carries to the machine. Everything is staged first: the end of a tar looks the same whether the files or the connection ended.
type push struct {
	host    *host
	machine machine
	have    *scanned
	keep    tree     // what the host holds: folders of it stay
	drop    []string // to be deleted on the machine
	tell    func(files, bytes int64)

	stage  string
	sent   map[string]sent // what was staged whole
	failed map[string]string
}

type sent struct {
	entry entry
	sum   [32]byte
}

// send stages the files in paths. What cannot be read, or changes meanwhile, is left out and noted in failed.
func (p *push) send(ctx context.Context, from tree, paths []string) error {
	p.stage, p.sent, p.failed = ours+"stage-"+rand.Text(), map[string]sent{}, map[string]string{}
	return p.machine.feed(ctx, stageScript, func(w io.Writer) error { return p.write(ctx, w, from, paths) }, p.machine.dir, p.stage)
}

func (p *push) write(ctx context.Context, to io.Writer, from tree, paths []string) error {
	w := tar.NewWriter(to)
	// What is to be overwritten or deleted must still have the time that the scan saw. An empty file of that time says so to the next command.
	for _, name := range slices.Concat(paths, p.drop) {
		e, there := p.have.tree[name]
		if !there || e.Kind != file {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: "t/" + name, Mode: 0o600, Typeflag: tar.TypeReg, ModTime: timeOf(e.Time), Format: tar.FormatPAX}); err != nil {
			return err
		}
	}
	var size int64
	for i, name := range paths {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := from[name]
		sum, err := p.host.pack(w, "f/", name, e)
		if fatal, ok := errors.AsType[*streamError](err); ok {
			return fatal.error
		}
		if err != nil {
			p.failed[name] = err.Error()
			continue
		}
		p.sent[name] = sent{e, sum}
		size += e.Size
		p.tell(int64(i+1), size)
	}
	return w.Close()
}

// commit puts what was staged in place, deletes p.drop, and writes the marker id where it is not "". It returns the paths that were left as they
// were, and why: the file there is not the one that the scan saw, or something is in the way.
func (p *push) commit(ctx context.Context, id string) (left map[string]string, err error) {
	last, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), commitWait, errors.New("the machine did not finish the last step in time"))
	defer cancel() // begun, it runs to its end
	script := p.script(id)
	out := &bounded.Limited{Most: 64<<10 + 2*len(script)}
	if err := p.machine.run(last, `cd -P -- "$1" && exec sh`, strings.NewReader(script), out, p.machine.dir); err != nil {
		return nil, err
	}
	left = map[string]string{}
	records := strings.Split(out.String(), "\x00")
	if len(records) < 2 || records[len(records)-2] != "done" {
		return nil, errors.New("the machine did not finish the last step")
	}
	for _, r := range records {
		why, name, _ := strings.Cut(r, " ")
		switch why {
		case "changed":
			left[name] = "it changed on the machine meanwhile"
		case "blocked":
			left[name] = "the machine's user cannot write it there: something else is in its place, or belongs to another user"
		}
	}
	return left, nil
}

// commitWait is for tens of thousands of renames in emulation.
const commitWait = 10 * time.Minute

// script is the second command: functions, calls, an end. It runs only where all of it arrived.
func (p *push) script(id string) string {
	var b strings.Builder
	b.WriteString(pushScript + "main() {\nS=" + p.stage + "\n")
	call := func(function, dir string, names []string) {
		for some := range slices.Chunk(names, namesPerCall) {
			b.WriteString(function + " " + ssh.Quote(dir))
			for _, n := range some {
				b.WriteString(" " + ssh.Quote(n))
			}
			b.WriteString("\n")
		}
	}
	gone := byFolder(p.drop)
	for _, dir := range slices.Sorted(maps.Keys(gone)) {
		call("drop", dir, gone[dir])
	}
	for _, dir := range p.emptied() {
		b.WriteString("empty " + ssh.Quote(dir) + "\n")
	}
	whole, rest := p.newFolders()
	for _, dir := range whole {
		b.WriteString("whole " + ssh.Quote(dir) + "\n")
	}
	var fresh, over []string
	for _, name := range rest {
		if _, there := p.have.tree[name]; there {
			over = append(over, name)
		} else {
			fresh = append(fresh, name)
		}
	}
	for function, paths := range map[string][]string{"fresh": fresh, "over": over} {
		groups := byFolder(paths)
		for _, dir := range slices.Sorted(maps.Keys(groups)) {
			call(function, dir, groups[dir])
		}
	}
	if id != "" {
		b.WriteString("mark " + ssh.Quote(id) + "\n")
	}
	b.WriteString("rm -rf \"$S\"\nprintf 'done\\0'\n}\nmain\n")
	return b.String()
}

// namesPerCall keeps the argument list of one mv or rm below Linux's two megabytes.
const namesPerCall = 400

// byFolder sorts paths into their folders, "." for the outermost.
func byFolder(paths []string) map[string][]string {
	all := map[string][]string{}
	for _, p := range paths {
		all[path.Dir(p)] = append(all[path.Dir(p)], path.Base(p))
	}
	return all
}

// emptied are the folders that the deletions may leave empty, the innermost first. The machine removes those that are.
func (p *push) emptied() []string {
	keep := p.keep.folders()
	may := map[string]bool{}
	for _, d := range p.drop {
		for dir := path.Dir(d); dir != "." && !keep[dir] && !may[dir]; dir = path.Dir(dir) {
			may[dir] = true
		}
	}
	list := slices.Sorted(maps.Keys(may))
	slices.Reverse(list)
	return list
}

// newFolders are the outermost folders that the machine lacks and that were staged without fault, and the files below none of them.
func (p *push) newFolders() (whole, rest []string) {
	faulty := map[string]bool{} // folders that hold a file that is not to be used
	for name := range p.failed {
		parents(name, func(dir string) bool { faulty[dir] = true; return true })
	}
	chosen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(p.sent)) {
		new := !parents(name, func(dir string) bool {
			if _, there := p.have.dirs[dir]; there || faulty[dir] {
				return true
			}
			if _, there := p.have.tree[dir]; there { // what has that name now is no folder
				return true
			}
			chosen[dir] = true
			return false
		})
		if !new {
			rest = append(rest, name)
		}
	}
	return slices.Sorted(maps.Keys(chosen)), rest
}
