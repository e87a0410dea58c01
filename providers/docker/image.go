// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
)

// An image is loaded, not imported: its configuration, of which nothing depends on time or chance, gives it its ID, so two loads at once make one. The
// daemon gives it its ID when all of it is there.

func (p *provider) PutImage(ctx context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	ref, err := p.putImage(ctx, img, progress)
	return ref, wrap("store", "image "+img.Recipe, err)
}

func (p *provider) putImage(ctx context.Context, img images.Image, progress providers.Progress) (providers.ImageRef, error) {
	if !isHex(img.Key) {
		return "", fail(providers.Invalid, "its key %q is not hexadecimal", img.Key)
	}
	tree, ok := img.Artefacts[images.Tar]
	if !ok {
		return "", fail(providers.Invalid, "it has no %s", images.Tar)
	}
	info, err := p.host(ctx)
	if err != nil {
		return "", err
	}
	if has := debianArch(info.Architecture); img.Arch != "" && img.Arch != has {
		return "", fail(providers.Unsupported, "it is for %s; this daemon runs containers of %s", img.Arch, has)
	}
	if ref, err := p.find(ctx, img, info); err != nil || ref != "" {
		return ref, err
	}
	done, err := tree.Alone(ctx, func() {
		progress.Emit(providers.Event{Subject: img.Recipe, Stage: "upload", Detail: "waiting for another run that loads it"})
	})
	if err != nil {
		return "", err
	}
	defer done()
	if ref, err := p.find(ctx, img, info); err != nil || ref != "" { // the other run's
		return ref, err
	}
	r, err := examine(ctx, tree, meter(progress, providers.Event{Subject: img.Recipe, Stage: "upload", Detail: "examine", Total: tree.Size, Bytes: true}))
	if err != nil {
		return "", err
	}
	if err := bootable(r.systemd, info.CgroupVersion); err != nil {
		return "", err
	}
	if err := p.load(ctx, img, r, progress); err != nil {
		return "", err
	}
	ref, err := p.find(ctx, img, info)
	if err == nil && ref == "" {
		err = fail(providers.Unavailable, "it was removed while it was stored")
	}
	if err == nil {
		p.log.Info("stored image", "recipe", img.Recipe, "ref", ref)
	}
	return ref, err
}

// find is the image where it is stored, else "". One that cannot start there is refused.
func (p *provider) find(ctx context.Context, img images.Image, info *system.Info) (providers.ImageRef, error) {
	stored, err := p.stored(ctx, labelTree+"="+img.Artefacts[images.Tar].SHA256)
	if err != nil {
		return "", err
	}
	for _, i := range stored {
		if i.Labels[labelKey] == img.Key && i.Labels[labelDigest] == img.Digest {
			return providers.ImageRef(i.ID), bootable(i.Labels[labelSystemd], info.CgroupVersion)
		}
	}
	return "", nil
}

// builtFor is what package images builds for, in Debian's word.
const builtFor = "amd64"

// debianArch is Debian's word for what the daemon says by uname's.
func debianArch(machine string) string {
	if name, ok := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[machine]; ok {
		return name
	}
	return machine
}

// stored lists images of ours with all the labels.
func (p *provider) stored(ctx context.Context, labels ...string) ([]image.Summary, error) {
	f := filters.NewArgs(filters.Arg("label", labelKind+"="+kindImage))
	for _, l := range labels {
		f.Add("label", l)
	}
	return p.ImageList(ctx, image.ListOptions{Filters: f})
}

// load hands the image to the daemon, in the form of `docker save`.
func (p *provider) load(ctx context.Context, img images.Image, r tree, progress providers.Progress) error {
	config, err := configOf(img, r)
	if err != nil {
		return err
	}
	told := meter(progress, providers.Event{Subject: img.Recipe, Stage: "upload", Detail: "load", Total: img.Artefacts[images.Tar].Size, Bytes: true})
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := writeArchive(ctx, in, img, r, config, told)
		done <- err
		_ = in.CloseWithError(err) // never fails
	}()
	said, err := p.ImageLoad(ctx, out, client.ImageLoadWithQuiet(true))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(said.Body, 1<<20))
		err = errors.Join(err, said.Body.Close())
	}
	_ = out.CloseWithError(errNotWanted) // never fails
	if wrote := <-done; wrote != nil && !errors.Is(wrote, errNotWanted) {
		return wrote
	}
	return err
}

var errNotWanted = errors.New("the daemon wants no more of it")

// bootable refuses a systemd that this kind of control groups is too old for. systemd 256 was the first to refuse version 1 (its NEWS).
func bootable(systemd, cgroups string) error {
	var version int
	if _, err := fmt.Sscanf(systemd, "%d", &version); err != nil || version < 256 || cgroups == "2" {
		return nil
	}
	return &coded{
		providers.Unsupported,
		fmt.Errorf("its systemd %s does not start on a computer with control groups of version 1, as docker's here has", systemd),
		"boot that computer with systemd.unified_cgroup_hierarchy=1 on its kernel command line, or make the image from an older release: from: debian:12",
	}
}

// systemdVersion reads dpkg's list of what is installed.
func systemdVersion(status io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(status, 64<<20))
	if err != nil {
		return "", err
	}
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		if !strings.HasPrefix(paragraph, "Package: systemd\n") {
			continue
		}
		for line := range strings.Lines(paragraph) {
			if v, ok := strings.CutPrefix(line, "Version: "); ok {
				return strings.TrimSpace(v), nil
			}
		}
	}
	return "", nil
}

// isInit reports whether the tar's entry may be the first process.
func isInit(h *tar.Header) bool {
	return slices.Contains([]string{"sbin/init", "usr/sbin/init"}, strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), "/"))
}
