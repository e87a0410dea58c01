// SPDX-License-Identifier: Apache-2.0

package envs_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
)

func planned(t *testing.T, text string) *envs.Plan {
	t.Helper()
	inProject(t, map[string]string{"env.yaml": text, "web.yaml": recipe})
	def, problems, err := envs.Load("env.yaml")
	if def == nil || err != nil {
		t.Fatal(problems, err)
	}
	plan, problems := envs.MakePlan(def, envs.Options{})
	if plan == nil {
		t.Fatal(problems)
	}
	return plan
}

const head = "evenkeel: 1\nname: shop\nid: \"7f3a9c\"\nimage: web.yaml\ndefault: laptop\n"

var pictures = map[string]string{
	"shop": head + `
machines:
  web: {count: 2, allow: [{from: anywhere, port: 80}, {from: web, port: 7946}, {from: web, port: 7946, proto: udp}]}
  db: {allow: [{from: web, port: 5432}], data: [{name: pg, size: 2GiB, mount: /var/lib/postgresql}]}
tiers: {laptop: {provider: libvirt, publish: {web-1: {80: 8080}}}}
`,
	"alone": head + "machines: {web: {}}\ntiers: {laptop: {provider: libvirt}}\n",
	"large": head + `
machines:
  edge: {count: 2, allow: [{from: anywhere, port: 443}, {from: anywhere, port: 80}, {from: admin, port: 9100}, {from: 10.8.0.0/16, port: 22-23}]}
  web: {count: 6, allow: [{from: edge, port: 8080}, {from: admin, port: 9100}]}
  api: {count: 4, allow: [{from: edge, port: 8081}, {from: web, port: 8081}, {from: worker, port: 8081}, {from: admin, port: 9100}]}
  worker: {count: 3, allow: [{from: admin, port: 9100}, {from: api, port: 5555}]}
  db: {allow: [{from: api, port: 5432}, {from: worker, port: 5432}, {from: admin, port: 5432}], data: [{name: pg, size: 200GiB, mount: /var/lib/postgresql}, {name: wal, size: 20GiB, mount: /srv/wal}]}
  cache: {allow: [{from: api, port: 6379}, {from: web, port: 6379}, {from: worker, port: 6379, proto: udp}]}
  mail: {allow: [{from: worker, port: 25}]}
  admin: {allow: [{from: 10.8.0.0/16, port: 22-23}, {from: mail, port: 8000-8100}]}
tiers:
  laptop: {provider: fake, protected: true, machines: {mail: {external: "mail.acme.example:25"}}}
`,
}

func TestPictures(t *testing.T) {
	folder, err := filepath.Abs("testdata/graph")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pictures {
		t.Run(name, func(t *testing.T) {
			g := envs.MakeGraph(planned(t, text))
			if again := envs.MakeGraph(planned(t, text)); !reflect.DeepEqual(g, again) || !bytes.Equal(g.SVG(), again.SVG()) {
				t.Error("equal plans make different pictures")
			}
			wellFormed(t, g.SVG())
			for file, got := range map[string][]byte{name + ".svg": g.SVG(), name + ".mmd": []byte(g.Mermaid())} {
				file = filepath.Join(folder, file)
				if *update {
					if err := os.MkdirAll(folder, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s is another picture, or %v; look at it, then go test -update", file, err)
				}
			}
		})
	}
}

func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
	}
}

func TestNamesStayTextInPictures(t *testing.T) {
	const evil = "</text><script>alert(1)</script>\"]; click n1 \"javascript:x\" %%{init}%% `*_#\x00\x1b[31m\u202e\n"
	g := envs.Graph{
		Title: evil,
		Nodes: []envs.Node{{ID: "a", Type: envs.NodeKind, Name: evil, Lines: []string{evil}, Disks: []string{evil}}, {ID: "b", Type: envs.NodeExternal, Name: evil}},
		Edges: []envs.Edge{{From: "b", To: "a", Ports: evil}},
	}
	svg := g.SVG()
	wellFormed(t, svg)
	if bytes.Contains(svg, []byte("<script")) || bytes.ContainsAny(svg, "\x00\x1b\u202e") {
		t.Errorf("got:\n%s", svg)
	}
	lines := strings.Count(g.Mermaid(), "\n")
	if lines != 9 {
		t.Errorf("got %d lines, want 9: a name began a line of its own\n%s", lines, g.Mermaid())
	}
	for _, forbidden := range []string{"script>", "\"]; click", "%%", "`", "\x1b", "\u202e"} {
		if strings.Contains(g.Mermaid(), forbidden) {
			t.Errorf("it holds %q:\n%s", forbidden, g.Mermaid())
		}
	}
}

func TestPicturesOfCirclesAndOfManyKindsEnd(t *testing.T) {
	plan := &envs.Plan{Env: "shop.laptop", Provider: "fake"}
	const n = 300
	for i := range n {
		m := envs.Machine{Name: fmt.Sprintf("k%d-1", i), Kind: fmt.Sprintf("k%d", i)}
		for j := 1; j < 60; j += 7 {
			m.Allow = append(m.Allow, envs.Rule{From: fmt.Sprintf("k%d", (i+j*j)%n), PortLow: j, PortHigh: j, Proto: "tcp"})
		}
		plan.Machines = append(plan.Machines, m)
	}
	g := envs.MakeGraph(plan)
	wellFormed(t, g.SVG())
	if got := strings.Count(string(g.SVG()), `<path class="wire"`); got != len(g.Edges) || got != n*9 {
		t.Errorf("got %d lines for %d edges, want %d", got, len(g.Edges), n*9)
	}
}
