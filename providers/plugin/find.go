// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
)

// EnvPath is the variable that lists further folders with plugins.
const EnvPath = "EVENKEEL_PLUGIN_PATH"

const prefix = "env-provider-"

// Found is a plugin binary.
type Found struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// Find lists env-provider-* binaries beside the running binary, then in $EVENKEEL_PLUGIN_PATH (a list of folders); the first of a name wins.
// Sorted by name. Folders that do not exist are passed over; whether a file can be run shows when it is launched.
func Find() ([]Found, error) {
	folders, err := folders()
	if err != nil {
		return nil, err
	}
	var list []Found
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot look for plugins: %w", err)
		}
		for _, e := range entries {
			name, ours := strings.CutPrefix(e.Name(), prefix)
			if !ours || e.IsDir() || !pluginName.MatchString(name) || slices.ContainsFunc(list, func(f Found) bool { return f.Name == name }) {
				continue
			}
			list = append(list, Found{name, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(list, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func folders() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot tell where the running program lies: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	list := []string{filepath.Dir(self)}
	for _, dir := range filepath.SplitList(os.Getenv(EnvPath)) {
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("%s holds %q; allowed are absolute folders: a plugin is not to depend on where one stands", EnvPath, dir)
		}
		list = append(list, dir)
	}
	return list, nil
}

// locate is the path of the named plugin.
func locate(name string) (string, error) {
	missing := &providers.Error{Code: providers.NotFound, Op: "find", Subject: fmt.Sprintf("provider %q", name)}
	found, err := Find()
	if err != nil {
		return "", err
	}
	var known []string
	for _, f := range found {
		if f.Name == name {
			return f.Path, nil
		}
		known = append(known, f.Name)
	}
	looked, err := folders()
	if err != nil {
		return "", err
	}
	have := "none is installed"
	if len(known) > 0 {
		have = "there are " + strings.Join(known, ", ")
	}
	missing.Err = fmt.Errorf("no %s%s in %s; %s", prefix, text(name), strings.Join(looked, ", "), have)
	if near := problem.Nearest(name, known); near != "" {
		missing.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return "", missing
}
