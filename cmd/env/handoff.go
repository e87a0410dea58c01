// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/internal/problem"
)

// asEnvWord, as the first argument, makes the binary decide as if it were called env, whatever its name. The shell hooks use it.
const asEnvWord = "__env"

// whose says who answers an argument list.
type whose int

const (
	ours    whose = iota
	systems       // the system's env does, unchanged
	nobodys       // it would take this computer down
)

// decide is the whole rule of the two names: args are the arguments of something called env, without its own name. inProject says whether an
// env.yaml of ours is found upwards; it is asked only where the answer matters.
func decide(args []string, inProject func() bool) whose {
	if len(args) == 0 {
		return systems
	}
	word := args[0]
	switch {
	case word == "--help":
		return ours
	case word == "", strings.HasPrefix(word, "-"), strings.Contains(word, "="):
		return systems
	case word == "init":
		if len(args) == 1 || strings.HasPrefix(args[1], "-") || inProject() {
			return ours
		}
		return systems
	case slices.Contains(elsewhere(), word), word == "destroy":
		if inProject() {
			return ours
		}
		return systems
	case isVerb(word): // suspend among them
		return ours
	case slices.Contains(reserved(), word):
		if _, ok := alias(word); ok && inProject() {
			return ours
		}
		return nobodys
	}
	return systems
}

// handOff ends this process in the system's env unless argv is ours, and returns the arguments to answer. It returns an exit status other than -1
// where there is nothing to answer.
func handOff(argv []string) (args []string, status int) {
	if len(argv) == 0 {
		return nil, -1
	}
	args = argv[1:]
	switch {
	case len(args) > 0 && args[0] == asEnvWord:
		args = args[1:]
		argv = append([]string{"env"}, args...)
	case filepath.Base(argv[0]) != "env":
		return args, -1
	}
	switch decide(args, inProjectHere) {
	case ours:
		return args, -1
	case nobodys:
		fmt.Fprintf(os.Stderr, "evenkeel: %q is not handed on: it would act on this computer, not on an environment\n", args[0])
		fmt.Fprintf(os.Stderr, "  hint: machines are stopped by `evenkeel stop`; for this computer type the program without `env`\n")
		return nil, 1
	}
	path, err := systemEnv("/usr/bin/env", "/bin/env")
	if err == nil {
		if len(args) > 0 && term.IsTerminal(int(os.Stderr.Fd())) {
			suggest(os.Stderr, args[0])
		}
		err = syscall.Exec(path, argv, environment())
	}
	fmt.Fprintf(os.Stderr, "evenkeel: cannot hand on to the system's env: %v\n", err)
	return nil, 125 // env(1): the env command itself failed
}

func inProjectHere() bool {
	dir, err := os.Getwd()
	if err != nil {
		return false
	}
	file, _, err := envs.Find(dir)
	return err == nil && file != ""
}

// suggest says, before env says that word is no program, which verb may have been meant.
func suggest(w io.Writer, word string) {
	if strings.Contains(word, "/") {
		return
	}
	near := problem.Nearest(word, verbs())
	if near == "" {
		return
	}
	if _, err := exec.LookPath(word); err == nil || errors.Is(err, exec.ErrDot) {
		return
	}
	fmt.Fprintf(w, "evenkeel: %q is neither a program nor a verb; did you mean %q?\n", word, near)
}

// systemEnv is the first of candidates that is a program and not this one, under whatever name or copy.
func systemEnv(candidates ...string) (string, error) {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return "", err
	}
	for _, path := range candidates {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || os.SameFile(info, own) {
			continue
		}
		if info.Size() == own.Size() && sameContent(path, "/proc/self/exe") {
			continue // installed over the system's: it would hand on to us for ever
		}
		return path, nil
	}
	return "", fmt.Errorf("%w: %s is not there, or is this program", fs.ErrNotExist, strings.Join(candidates, " or "))
}

func sameContent(a, b string) bool {
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// environment is the environment as the kernel handed it over: os.Environ drops repeated names, which env shows.
func environment() []string {
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return os.Environ()
	}
	list := strings.Split(string(block), "\x00")
	return list[:len(list)-1]
}
