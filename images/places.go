// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// blobs are the package files of a lock and what the recipe fetches, each with the places to look in: the team's store, the live
// archive, the archive's snapshot service.
func (s *Store) blobs(r *Recipe) []blob {
	archives := map[string]LockedArchive{}
	for _, a := range r.Lock.Archives {
		archives[a.Name] = a
	}
	release := releases()[r.Lock.From]
	var out []blob
	for _, p := range r.Lock.Packages {
		a := archives[p.Archive]
		b := blob{name: path.Base(p.Path), sha256: p.SHA256, size: p.Size, from: s.teamPlace(p.SHA256)}
		if s.mirror != "" && a.URL == release.archives[0].url {
			b.from = append(b.from, below(s.mirror, p.Path))
		}
		b.from = append(b.from, below(a.URL, p.Path))
		if a.Snapshot != "" {
			b.from = append(b.from, below(a.Snapshot, p.Path))
		}
		out = append(out, b)
	}
	if b, found := r.spec.baseBlob(s); found {
		out = append(out, b)
	}
	for _, f := range r.spec.Fetch {
		out = append(out, blob{name: path.Base(f.To), sha256: f.SHA256, from: append(s.teamPlace(f.SHA256), f.URL)})
	}
	return out
}

// baseBlob is the tree that the recipe starts from, if it starts from one.
func (s spec) baseBlob(store *Store) (blob, bool) {
	if s.Base == nil {
		return blob{}, false
	}
	return blob{name: path.Base(s.Base.Place), sha256: s.Base.SHA256, from: append(store.teamPlace(s.Base.SHA256), s.Base.Place)}, true
}

// mirrored is the archives as they are asked: the release's first address is replaced by the mirror.
func (s *Store) mirrored(archives []archive) []archive {
	if s.mirror == "" {
		return archives
	}
	first := archives[0].url
	for i := range archives {
		if archives[i].own && archives[i].url == first {
			archives[i].url = s.mirror
		}
	}
	return archives
}

func (s *Store) teamPlace(sum string) []string {
	switch {
	case s.team == "":
		return nil
	case strings.HasPrefix(s.team, "http://"), strings.HasPrefix(s.team, "https://"):
		return []string{below(s.team, "packages/"+sum)}
	}
	return []string{filepath.Join(s.team, "packages", sum)}
}

// below is the address of a path under another address. A "+" is escaped as apt does: some servers take it for a space.
func below(address, name string) string {
	escaped := strings.ReplaceAll((&url.URL{Path: name}).EscapedPath(), "+", "%2b")
	return strings.TrimRight(address, "/") + "/" + strings.TrimPrefix(escaped, "./")
}

// aptProxies is the proxy rule for package files: what the host's apt uses, else the usual variables. The host is asked once, for the first
// file that is fetched.
type aptProxies struct {
	mu    sync.Mutex
	rules map[string]string // nil: not asked yet
}

// choose is an http.Transport's Proxy.
func (a *aptProxies) choose(req *http.Request) (*url.URL, error) {
	rules, err := a.ask(req.Context())
	if err != nil {
		return nil, err
	}
	scheme := req.URL.Scheme
	for _, key := range []string{scheme + "::" + req.URL.Hostname(), scheme} {
		switch proxy := rules[key]; proxy {
		case "":
		case "DIRECT":
			return nil, nil
		default:
			return url.Parse(proxy)
		}
	}
	return http.ProxyFromEnvironment(req)
}

func (a *aptProxies) ask(ctx context.Context) (map[string]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rules != nil {
		return a.rules, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := hostTransport(ctx)
	if err != nil {
		return nil, err
	}
	a.rules = proxyRules(config)
	return a.rules, nil
}

// proxyRules reads lines such as Acquire::http::Proxy "http://proxy:3128"; and Acquire::http::Proxy::host "DIRECT";
func proxyRules(config string) map[string]string {
	rules := map[string]string{}
	for line := range strings.Lines(config) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(value, `";`)
		scheme, rest, _ := strings.Cut(strings.TrimPrefix(name, "Acquire::"), "::")
		switch {
		case rest == "Proxy":
			rules[scheme] = value
		case strings.HasPrefix(rest, "Proxy::"):
			rules[scheme+"::"+strings.TrimPrefix(rest, "Proxy::")] = value
		}
	}
	return rules
}
