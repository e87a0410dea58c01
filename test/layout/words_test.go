// SPDX-License-Identifier: Apache-2.0

package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// asCalled is the command under the name that most computers do not have: who types it gets the system's env.
var asCalled = regexp.MustCompile("(^|[ `])env (up|down|stop|start|resume|rebuild|refresh|status|ssh|sync|snapshot|image|doctor|gc|trust|access|audit)\\b")

// What a program advises can be typed as it stands, so it names evenkeel. The first line of a lock is kept as locks in repositories have it.
func TestAdviceNamesTheCommandThatIsAlwaysThere(t *testing.T) {
	for _, dir := range []string{"internal", "images", "envs", "providers", "parity"} {
		err := filepath.WalkDir("../../"+dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				text, ok := n.(*ast.BasicLit)
				if ok && text.Kind == token.STRING && asCalled.MatchString(strings.Trim(text.Value, "`\"")) && !strings.Contains(text.Value, "# Made by") {
					t.Errorf("%s: %s", path, text.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
