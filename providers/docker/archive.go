// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// tree is what must be known of a root tree before the daemon gets it.
type tree struct {
	size    int64  // of the plain tar
	sum     string // its SHA-256: the layer's ID
	systemd string // version, "" where dpkg does not know it
}

// examine reads the artefact once, and checks that it is what the image says.
func examine(ctx context.Context, a images.Artefact, told func(int64)) (tree, error) {
	var r tree
	compressed, plain := sha256.New(), sha256.New()
	err := expand(ctx, a, compressed, told, func(in io.Reader) error {
		count := &counter{w: plain}
		in = io.TeeReader(in, count)
		init := false
		entries := tar.NewReader(in)
		for {
			h, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			init = init || isInit(h)
			if strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), "/") == "var/lib/dpkg/status" {
				if r.systemd, err = systemdVersion(entries); err != nil {
					return err
				}
			}
		}
		if _, err := io.Copy(io.Discard, in); err != nil { // what stands behind the last entry
			return err
		}
		if !init {
			return fail(providers.Invalid, "it has no /sbin/init: no system starts from it")
		}
		r.size, r.sum = count.n, hex.EncodeToString(plain.Sum(nil))
		return nil
	})
	if err != nil {
		return tree{}, err
	}
	if got := hex.EncodeToString(compressed.Sum(nil)); got != a.SHA256 {
		return tree{}, fail(providers.Invalid, "%s has SHA-256 %s, the image says %s", a.Path, got, a.SHA256)
	}
	return r, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// expand hands the plain tar to use. sum gets all bytes of the file.
func expand(ctx context.Context, a images.Artefact, sum hash.Hash, told func(int64), use func(io.Reader) error) error {
	f, err := os.Open(a.Path)
	if err != nil {
		return fail(providers.Invalid, "%w", err)
	}
	defer func() { _ = f.Close() }() // read only
	in := &watched{ctx: ctx, r: f, told: told}
	from := io.TeeReader(in, sum)
	z, err := zstd.NewReader(from)
	if err != nil {
		return err
	}
	defer z.Close()
	if err := use(z); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w", a.Path, err)
	}
	_, err = io.Copy(io.Discard, from)
	return err
}

// watched tells how much was read, and ends with its context.
type watched struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	told func(int64)
}

func (w *watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(b)
	w.n += int64(n)
	w.told(w.n)
	return n, err
}

// meter tells progress in steps of a hundredth.
func meter(progress providers.Progress, e providers.Event) func(int64) {
	last := int64(-1)
	return func(n int64) {
		if e.Total <= 0 || n*100/e.Total == last {
			return
		}
		last, e.Done = n*100/e.Total, min(n, e.Total)
		progress.Emit(e)
	}
}

// configOf is the image's configuration (https://github.com/moby/docker-image-spec). Its bytes are the image's identity.
func configOf(img images.Image, r tree) ([]byte, error) {
	type config struct {
		Cmd        []string
		Env        []string
		Labels     map[string]string
		StopSignal string
	}
	type layers struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	return json.Marshal(struct {
		Architecture string         `json:"architecture"`
		OS           string         `json:"os"`
		Created      string         `json:"created"`
		Config       config         `json:"config"`
		RootFS       layers         `json:"rootfs"`
		History      []historyEntry `json:"history"`
	}{
		Architecture: cmp.Or(img.Arch, builtFor), OS: "linux", Created: epoch,
		Config: config{
			Cmd: []string{"/sbin/init"}, Env: []string{searchPath, "container=docker"}, StopSignal: stopSignal,
			Labels: map[string]string{
				labelKind: kindImage, labelKey: img.Key, labelDigest: img.Digest, labelTree: img.Artefacts[images.Tar].SHA256, labelSystemd: r.systemd,
			},
		},
		RootFS:  layers{"layers", []string{"sha256:" + r.sum}},
		History: []historyEntry{{epoch, "evenkeel image " + img.Recipe}},
	})
}

type historyEntry struct {
	Created string `json:"created"`
	By      string `json:"created_by"`
}

const (
	epoch      = "1970-01-01T00:00:00Z" // an image's age is its lock's, not its loading's
	searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// writeArchive writes what `docker load` reads: a configuration, a layer, and a list of both with the image's name.
func writeArchive(ctx context.Context, to io.Writer, img images.Image, r tree, config []byte, told func(int64)) error {
	sum := sha256.Sum256(config)
	configName, layerName := hex.EncodeToString(sum[:])+".json", r.sum+"/layer.tar"
	list, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{imageName(img.Recipe, img.Key)}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, f := range []struct {
		name string
		data []byte
	}{{configName, config}, {"manifest.json", list}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := io.Copy(w, bytes.NewReader(f.data)); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: layerName, Mode: 0o644, Size: r.size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	err = expand(ctx, img.Artefacts[images.Tar], sha256.New(), told, func(in io.Reader) error {
		_, err := io.Copy(w, in)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
