// SPDX-License-Identifier: Apache-2.0

package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/evenkeel/evenkeel/images/guest"
	"github.com/evenkeel/evenkeel/internal/lazyregexp"
	"github.com/evenkeel/evenkeel/internal/strictyaml"
)

// maxInput bounds each file a recipe names: it is held in memory. Larger things are fetched.
const maxInput = 32 << 20

var (
	// Debian Policy 5.6.7 and 5.6.12; Linux user names as useradd(8) allows them.
	packageName = lazyregexp.New(`^[a-z0-9][a-z0-9+.-]+$`)
	version     = lazyregexp.New(`^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$`)
	userName    = lazyregexp.New(`^[a-z_][a-z0-9_-]{0,30}$`)
	unitName    = lazyregexp.New(`^[A-Za-z0-9:_.@-]+$`)
	suiteName   = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	sysctlName  = lazyregexp.New(`^[A-Za-z0-9_]+([./][A-Za-z0-9_-]+)+$`)
	hexDigest   = lazyregexp.New(`^[0-9a-f]{64}$`)
)

// loader turns a document into a spec, recording what is wrong in the document.
type loader struct {
	dir, root string // the recipe's folder; the project's
	doc       *strictyaml.Doc
}

func (l loader) recipe(n *strictyaml.Node) spec {
	top := n.Fields(strictyaml.Keys{
		Now: []string{"from", "base", "mirror", "keyring", "packages", "sources", "fetch", "files", "services", "users", "sysctl",
			"provision", "firstboot"},
	})
	s := spec{Mirror: l.url(top.Get("mirror"))}
	s.From, s.Base = l.start(top)
	if k := top.Get("keyring"); k != nil {
		in := l.input(k)
		s.Keyring = &in
	}
	s.Packages = l.packages(top.Get("packages"))
	s.Sources = l.sources(top.Get("sources"))
	s.Fetch = l.fetch(top.Get("fetch"))
	s.Files = l.files(top.Get("files"))
	s.Services, s.RestartOn = l.services(top.Get("services"))
	s.Users = l.users(top.Get("users"))
	s.Sysctl = l.sysctl(top.Get("sysctl"))
	s.Provision = l.steps(top.Get("provision"))
	s.Firstboot = l.steps(top.Get("firstboot"))
	s.canonical()
	return s
}

func (l loader) packages(n *strictyaml.Node) []want {
	var out []want
	for _, item := range n.List() {
		name, ver, pinned := strings.Cut(item.Line(), "=")
		switch {
		case name == "" && !pinned: // told by Line
		case !packageName.MatchString(name):
			item.Errorf("%q is no package name; allowed are lower-case letters, digits, + - and .", name)
		case pinned && !version.MatchString(ver):
			item.Errorf("%q is no package version; allowed is name=version with a version such as 1:9.2p1-2+deb12u3", ver)
		case slices.ContainsFunc(out, func(w want) bool { return w.Name == name }):
			item.Errorf("the package %s stands here twice", name)
		default:
			out = append(out, want{Name: name, Version: ver})
		}
	}
	return out
}

func (l loader) sources(n *strictyaml.Node) []source {
	var out []source
	for _, item := range n.List() {
		f := item.Map("url", "suite", "components", "key")
		s := source{URL: l.url(f.Need("url")), Suite: f.Need("suite").Line(), Components: f.Get("components").Lines()}
		if s.Suite != "" && !suiteName.MatchString(s.Suite) {
			f.Get("suite").Errorf("%q is no suite; wanted is a word such as bookworm-pgdg, or a folder that ends with /", s.Suite)
		}
		for _, c := range f.Get("components").List() {
			if word := c.Line(); word != "" && !suiteName.MatchString(word) {
				c.Errorf("%q is no component; wanted is a word such as main", word)
			}
		}
		if flat := strings.HasSuffix(s.Suite, "/"); !flat && len(s.Components) == 0 && f != nil {
			s.Components = []string{"main"}
		}
		key := f.Get("key")
		if key == nil && f != nil {
			f.Node().Errorf("a source needs the key its archive is signed with").Hint = "put the vendor's key beside the recipe: key: keys/vendor.asc"
		}
		s.Key = l.input(key)
		out = append(out, s)
	}
	return out
}

func (l loader) fetch(n *strictyaml.Node) []fetched {
	var out []fetched
	for _, item := range n.List() {
		f := item.Map("url", "sha256", "to", "mode")
		out = append(out, fetched{
			URL: l.url(f.Need("url")), SHA256: l.digest(f.Need("sha256")), To: l.target(f.Need("to")), Mode: l.mode(f.Get("mode"), 0o644),
		})
	}
	return out
}

func (l loader) files(n *strictyaml.Node) []file {
	var out []file
	for _, e := range n.Entries() {
		f := e.Value.Map("source", "content", "mode", "owner", "group", "early")
		item := file{Path: l.path(e.At, e.Key), Mode: l.mode(f.Get("mode"), 0o644), Early: f.Get("early").Bool()}
		item.Owner, item.Group = l.account(f.Get("owner")), l.account(f.Get("group"))
		content, src := f.Get("content"), f.Get("source")
		switch {
		case f == nil:
		case (content == nil) == (src == nil):
			e.At.Errorf("wanted is either source (a file beside the recipe) or content (the text itself)")
		case src != nil:
			item.Data = l.input(src)
		default:
			item.Data = inputOf([]byte(content.Str()))
		}
		if item.Early && (item.Owner != "root" || item.Group != "root") {
			e.At.Errorf("an early file belongs to root: no other account exists before packages are installed")
		}
		out = append(out, item)
	}
	return out
}

func (l loader) users(n *strictyaml.Node) []account {
	var out []account
	for _, e := range n.Entries() {
		f := e.Value.Map("shell", "home", "groups", "system", "uid")
		a := account{Name: e.Key, Shell: "/usr/sbin/nologin", Home: "/home/" + e.Key, System: f.Get("system").Bool(), UID: f.Get("uid").Int(1, 59999)}
		if !userName.MatchString(e.Key) {
			e.At.Errorf("%q is no user name; allowed are lower-case letters, digits, _ and -, up to 31", e.Key)
		}
		if e.Key == "root" || e.Key == guest.Login().Name {
			e.At.Errorf("the user %s exists in every image", e.Key)
		}
		if sh := f.Get("shell"); sh != nil {
			a.Shell = l.target(sh)
		}
		if h := f.Get("home"); h != nil {
			a.Home = l.target(h)
		}
		for _, g := range f.Get("groups").List() {
			a.Groups = append(a.Groups, l.account(g))
		}
		slices.Sort(a.Groups)
		out = append(out, a)
	}
	return out
}

func (l loader) sysctl(n *strictyaml.Node) map[string]string {
	out := map[string]string{}
	for _, e := range n.Entries() {
		if !sysctlName.MatchString(e.Key) {
			e.At.Errorf("%q is no sysctl; wanted is a name such as vm.swappiness", e.Key)
		}
		value, _ := e.Value.Raw()
		if e.Value.Is() != "scalar" || value == "" || strings.ContainsAny(value, "\n\r") {
			e.Value.Errorf("wanted is a value of one line, such as 10")
		}
		out[e.Key] = value
	}
	return out
}

func (l loader) steps(n *strictyaml.Node) []step {
	var out []step
	for _, item := range n.List() {
		sh := item.Map("shell").Need("shell")
		out = append(out, step{Name: path.Base(sh.Line()), Script: l.input(sh)})
	}
	return out
}

// account is the name of a user or group, root where none is given.
func (l loader) account(n *strictyaml.Node) string {
	name := n.Line()
	if name == "" {
		return "root"
	}
	if !userName.MatchString(name) {
		n.Errorf("%q is no account; wanted is a name such as www-data", name)
	}
	return name
}

func (l loader) mode(n *strictyaml.Node, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	text := n.Str()
	if text == "" {
		return otherwise
	}
	mode, err := strconv.ParseInt(text, 8, 32)
	if err != nil || mode > 0o7777 || mode < 0 || len(text) != 4 {
		n.Errorf("%q is no mode; wanted are four octal digits in quotes, such as \"0644\"", text)
	}
	return mode
}

// url is an http or https address without credentials, which would end in the lock for all to read.
func (l loader) url(n *strictyaml.Node) string {
	text := n.Line()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(text, " \t\\[]"):
		n.Errorf("%q is no address; wanted is http://... or https://...", text)
	case u.User != nil:
		n.Errorf("an address with a user name or password is not supported: the lock would show it to all")
	case u.RawQuery != "" || u.Fragment != "":
		n.Errorf("%q has a query or fragment; wanted is a plain address", text)
	}
	return text
}

func (l loader) target(n *strictyaml.Node) string {
	text := n.Line()
	if text == "" {
		return ""
	}
	return l.path(n, text)
}

// path is an absolute path in the image, in its one form.
func (l loader) path(n *strictyaml.Node, text string) string {
	switch {
	case !strings.HasPrefix(text, "/"):
		n.Errorf("%q is no path in the image; wanted is an absolute one, such as /etc/motd", text)
	case path.Clean(text) != text || text == "/":
		n.Errorf("%q is no plain path of a file; wanted is one without //, /./ and /../", text)
	}
	for _, dir := range []string{"/dev/", "/proc/", "/run/", "/sys/", "/tmp/"} {
		if strings.HasPrefix(text, dir) {
			n.Errorf("%q would vanish at boot: %s is made anew then", text, strings.TrimSuffix(dir, "/")).Hint = "for /run and /tmp write a file for /etc/tmpfiles.d"
		}
	}
	return text
}

// input reads the file named at n, as file finds it.
func (l loader) input(n *strictyaml.Node) input {
	full := l.file(n)
	if full == "" {
		return input{}
	}
	data, err := readBounded(full)
	if err != nil {
		n.Errorf("cannot read %s: %v", n.Line(), err)
		return input{}
	}
	in := inputOf(data)
	in.Path = full
	return in
}

// file is the absolute path of the file named at n, relative to the recipe's folder, inside the project also after links are followed; ""
// where there is none.
func (l loader) file(n *strictyaml.Node) string {
	text := n.Line()
	if text == "" {
		return ""
	}
	if filepath.IsAbs(text) {
		n.Errorf("%q is an absolute path; wanted is one relative to the recipe's folder", text)
		return ""
	}
	full, err := filepath.EvalSymlinks(filepath.Join(l.dir, text))
	switch {
	case errors.Is(err, os.ErrNotExist):
		n.Errorf("there is no file %s beside the recipe", text)
	case err != nil:
		n.Errorf("cannot read %s: %v", text, err)
	case !inside(full, l.root):
		n.Errorf("%q lies outside the project %s", text, l.root).Hint = "copy the file into the project"
	default:
		return full
	}
	return ""
}

func inside(name, root string) bool {
	rel, err := filepath.Rel(root, name)
	return err == nil && filepath.IsLocal(rel)
}

func inputOf(data []byte) input {
	sum := sha256.Sum256(data)
	return input{SHA256: hex.EncodeToString(sum[:]), data: data}
}

func readBounded(name string) ([]byte, error) {
	// A named pipe must not block the opening.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	if info.Size() > maxInput {
		return nil, fmt.Errorf("it has %d bytes; at most %d are allowed (larger things can be fetched)", info.Size(), maxInput)
	}
	return io.ReadAll(io.LimitReader(f, maxInput))
}
