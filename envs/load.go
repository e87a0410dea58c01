// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// schemaVersion is the value of `evenkeel:` that this program understands.
const schemaVersion = 1

// DefaultUser is the login that every image has.
const DefaultUser = "evenkeel"

// maxID is the length of an environment ID at most (name.tier[.as]); providers derive names from it.
const maxID = 40

// Load reads file and all it names. The list holds every problem found; the Definition is nil where one of them is an Error. The error
// is for what no edit of the file mends: it is not there, or cannot be read. Files of a project are named in problems as file is: relative
// where it is relative.
func Load(file string) (*Definition, problem.List, error) { return load(file, nil) }

// LoadKnowing is Load for who wants all told at once: known are the providers that can be opened here, and where the file has errors it is told of its tiers, too, whose
// provider is not among them. Of a file without errors MakePlan tells it.
func LoadKnowing(file string, known []string) (*Definition, problem.List, error) {
	return load(file, known)
}

func load(file string, known []string) (*Definition, problem.List, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot load %s: %w", file, err)
	}
	doc, err := strictyaml.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	// What lies behind a symlink out of the project cannot be reached through root.
	root, err := os.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot load %s: %w", file, err)
	}
	defer root.Close()
	l := &loader{
		shown: filepath.Dir(file), root: root, said: map[string]*strictyaml.Node{},
		def: &Definition{
			File: abs, Dir: filepath.Dir(abs),
			Recipes: map[string]*images.Recipe{}, places: map[string]problem.Problem{},
		},
	}
	if err := l.load(doc); err != nil {
		return nil, nil, err
	}
	if l.problems.Err() != nil {
		if known != nil {
			l.problems = append(l.problems, checkProviders(l.def, "", known)...)
		}
		return nil, l.problems, nil
	}
	return l.def, l.problems, nil
}

// loader is one call of Load.
type loader struct {
	shown    string // the project's folder as the caller named it
	root     *os.Root
	def      *Definition
	tiers    map[string]*tier
	noImage  []strictyaml.Entry          // kinds that name no recipe
	said     map[string]*strictyaml.Node // settings and secrets by their path
	problems problem.List
	inside   problem.List // those inside recipes and key files, told last
}

func (l *loader) load(doc *strictyaml.Doc) error {
	if !l.ours(doc) {
		l.problems = append(l.problems, doc.Problems()...)
		return nil
	}
	top := doc.Root().Fields(topKeys)
	l.top(top)
	l.kinds(top.Need("machines"), top.Get("image"))
	l.readTiers(top.Need("tiers"))
	local, err := l.local()
	if err != nil {
		return err
	}
	l.imageless()
	l.finishTiers(top.Get("default"))
	if err := l.parity(top.Get("parity")); err != nil {
		return err
	}
	l.def.Access = l.access(top.Get("access"))
	l.def.Access.User = cmp.Or(l.def.Access.User, DefaultUser)
	l.oneMeaning()
	l.problems = append(l.problems, doc.Problems()...)
	if local != nil {
		l.problems = append(l.problems, local.Problems()...)
	}
	l.problems = append(l.problems, l.inside...)
	return nil
}

// ours reports whether the file is a definition that this program understands; whatever else is wrong with another one is not its business.
func (l *loader) ours(doc *strictyaml.Doc) bool {
	root := doc.Root()
	if root == nil {
		return false
	}
	if root.Is() == "map" {
		for _, e := range root.Entries() {
			if e.Key != "evenkeel" {
				continue
			}
			if v := e.Value.Int(1, 999); v > schemaVersion {
				e.Value.Errorf("got schema version %d; this program knows %d", v, schemaVersion).Hint = "install a newer evenkeel"
				return false
			} else if v == 0 {
				return false
			}
			return true
		}
	}
	root.Errorf("this is not a definition of Evenkeel: the key \"evenkeel\" is missing").Hint = "if it should be one, begin it with the line: evenkeel: 1"
	return false
}

var (
	labelForm = lazyregexp.New(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	idForm    = lazyregexp.New(`^[0-9a-f]{6}$`)
	numbered  = lazyregexp.New(`-[0-9]+$`)
)

func isLabel(text string) bool { return len(text) <= 63 && labelForm.MatchString(text) }

// label is n as a DNS label (RFC 1123) that begins with a letter.
func label(n *strictyaml.Node, text string) string {
	if text == "" {
		return ""
	}
	if !isLabel(text) {
		p := n.Errorf("got %q; allowed are at most 63 of a-z, 0-9 and -, beginning with a letter and not ending in - (a DNS label)", clip(text))
		if lower := strings.ReplaceAll(strings.ToLower(text), "_", "-"); isLabel(lower) {
			p.Hint = "write " + lower
		}
		return ""
	}
	return text
}

// keyLabel is a key as a DNS label.
func keyLabel(e strictyaml.Entry) string {
	if e.Key == "" {
		e.At.Errorf("got an empty name")
	}
	return label(e.At, e.Key)
}

func clip(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return text
}

func (l *loader) top(top *strictyaml.Fields) {
	name := top.Need("name")
	l.def.Name = label(name, name.Line())
	if len(l.def.Name) > maxID-2 {
		name.Errorf("got a name of %d characters; an environment's ID (name.tier) has at most %d", len(l.def.Name), maxID)
	}
	id := top.Need("id")
	if text := id.Line(); text != "" && !idForm.MatchString(text) {
		id.Errorf("got %q; wanted are 6 digits of 0-9 and a-f", clip(text)).Hint = "`evenkeel init` writes one; two projects must not share it"
	} else {
		l.def.ID = text
	}
	l.def.Settings = l.settings(top.Get("settings"))
	l.def.Secrets = l.secrets(top.Get("secrets"))
	l.def.TLS = top.Get("tls").Bool()
	l.def.Keep = keep(top.Get("snapshots"))
}

// recipe is n as a recipe of the project, loaded once however often it is named.
func (l *loader) recipe(n *strictyaml.Node) string {
	name := n.Line()
	if name == "" {
		return ""
	}
	if _, done := l.def.Recipes[name]; done {
		return name
	}
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		n.Errorf("got %q; a recipe lies inside the project, named relative to env.yaml, such as images/web.yaml", clip(name))
		return ""
	}
	info, err := l.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p := n.Errorf("the recipe %s does not exist", clip(name))
		if near := problem.Nearest(name, l.glob("*.yaml", "*/*.yaml")); near != "" && near != name {
			p.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		return ""
	case err != nil:
		n.Errorf("the recipe %s cannot be used: %v", clip(name), leaf(err))
		return ""
	case !info.Mode().IsRegular():
		n.Errorf("the recipe %s is no regular file", clip(name))
		return ""
	}
	recipe, problems, err := images.LoadRecipe(filepath.Join(l.def.Dir, name), l.def.Dir)
	if err != nil {
		n.Errorf("the recipe cannot be used: %v", err)
		return ""
	}
	l.inside = append(l.inside, l.rename(problems)...)
	l.def.Recipes[name] = recipe
	return name
}

// rename names the project's files as the caller named its definition.
func (l *loader) rename(problems problem.List) problem.List {
	problems = slices.Clone(problems)
	for i, p := range problems {
		if inside, ok := strings.CutPrefix(p.File, l.def.Dir+string(filepath.Separator)); ok {
			problems[i].File = filepath.Join(l.shown, inside)
		}
	}
	return problems
}

// glob lists the project's files that match one of the patterns.
func (l *loader) glob(patterns ...string) []string {
	var all []string
	for _, p := range patterns {
		found, _ := fs.Glob(l.root.FS(), p)
		all = append(all, found...)
	}
	return all
}

// leaf is the cause below the file system's own words, which repeat the path.
func leaf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, leaf(err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxBytes))
}

func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
