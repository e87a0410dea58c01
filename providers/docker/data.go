// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/evenkeel/evenkeel/providers"
)

// A data disk is a volume, which the daemon makes together with the container that mounts it and fills, once, with what the image has at its mount
// point. A killed run may leave it filled half. So it is a disk only once it has a mark: an empty volume whose name says the size too, which
// nothing enforces. A larger size is another mark; the largest counts.

// disk is a data disk of a machine, whole or not.
type disk struct {
	ref    providers.DataRef
	volume string
	labels map[string]string
	size   int64    // 0: it has no mark, so it was never a disk
	marks  []string // all of them
}

// disks lists an environment's, or all where env is "", by machine and name. Of one disk only one is whole.
func (p *provider) disks(ctx context.Context, env string) ([]disk, error) {
	r, err := p.VolumeList(ctx, volume.ListOptions{Filters: byLabels(env, "")})
	if err != nil {
		return nil, err
	}
	return disksOf(r.Volumes), nil
}

func disksOf(volumes []*volume.Volume) []disk {
	disks := map[string]*disk{}
	at := func(name string, labels map[string]string) *disk {
		if disks[name] == nil {
			disks[name] = &disk{volume: name, labels: labels, ref: providers.DataRef{Env: labels[labelEnv], Machine: labels[labelName], Name: labels[labelDisk]}}
		}
		return disks[name]
	}
	there := map[string]bool{}
	for _, v := range volumes {
		if v != nil && v.Labels[labelKind] == kindData {
			there[v.Name] = true
			at(v.Name, v.Labels)
		}
	}
	for _, v := range volumes {
		if v == nil || v.Labels[labelKind] != kindMark {
			continue
		}
		name, size, ok := parseMark(v.Name)
		if !ok {
			continue
		}
		d := at(name, v.Labels)
		d.marks = append(d.marks, v.Name)
		if there[name] { // a mark alone is what is left of a removal
			d.size = max(d.size, size)
		}
	}
	list := make([]disk, 0, len(disks))
	for _, d := range disks {
		slices.Sort(d.marks)
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b disk) int {
		return cmp.Or(cmp.Compare(a.ref.Env, b.ref.Env), cmp.Compare(a.ref.Machine, b.ref.Machine), cmp.Compare(a.ref.Name, b.ref.Name), cmp.Compare(a.volume, b.volume))
	})
	return list
}

// plannedDisk is a data disk of a machine to be.
type plannedDisk struct {
	providers.Data
	volume string
	have   int64 // what it has now; 0 where it is yet to be made
}

// planData finds the disks of spec, and refuses what they cannot be. It makes nothing.
func (p *provider) planData(ctx context.Context, spec providers.Spec) ([]plannedDisk, error) {
	if len(spec.Data) == 0 {
		return nil, nil
	}
	disks, err := p.disks(ctx, spec.Env)
	if err != nil {
		return nil, err
	}
	var plan []plannedDisk
	for _, want := range spec.Data {
		ref := providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: want.Name}
		planned := plannedDisk{Data: want}
		if i := slices.IndexFunc(disks, func(d disk) bool { return d.ref == ref && d.size > 0 }); i >= 0 {
			planned.volume, planned.have = disks[i].volume, disks[i].size
			if err := takeable(planned, disks[i].labels[labelProject], spec.Labels[providers.LabelProject]); err != nil {
				return nil, err
			}
		} else {
			planned.volume = volumeName(ref)
		}
		plan = append(plan, planned)
	}
	return plan, nil
}

// takeable refuses a disk that is another project's, or larger than spec has it.
func takeable(d plannedDisk, was, is string) error {
	if was != is {
		return &coded{
			providers.Conflict,
			fmt.Errorf("data disk %s belongs to project %q, this is %q", d.Name, was, is),
			"give this project another name, or use --as",
		}
	}
	if d.have > d.Size {
		return &coded{
			providers.Denied,
			fmt.Errorf("data disk %s has %d MiB, %d MiB are wanted: a data disk never shrinks", d.Name, d.have>>20, d.Size>>20),
			fmt.Sprintf("size: %dMiB, or another disk under another name", (d.have+1<<20-1)>>20),
		}
	}
	return nil
}

// mounts are the disks as a new container mounts them. The daemon makes those that are not there, with these labels.
func mounts(spec providers.Spec, plan []plannedDisk) []mount.Mount {
	var list []mount.Mount
	for _, d := range plan {
		list = append(list, mount.Mount{
			Type: mount.TypeVolume, Source: d.volume, Target: d.Mount,
			VolumeOptions: &mount.VolumeOptions{NoCopy: d.have > 0, Labels: diskLabels(kindData, spec, d.Name)},
		})
	}
	return list
}

func diskLabels(kind string, spec providers.Spec, name string) map[string]string {
	l := ownLabels(kind, spec.Env, spec.Labels)
	l[labelName], l[labelDisk] = spec.Name, name
	if expires, ok := spec.Labels[providers.LabelExpires]; ok {
		l[coreLabel+providers.LabelExpires] = expires
	}
	return l
}

// putData marks the disks that the machine's container was created with as whole, or grown, and removes what dead runs left of the machine's others. The
// container is there, so no other call for this machine gets here.
func (p *provider) putData(ctx context.Context, spec providers.Spec, plan []plannedDisk) error {
	if len(plan) == 0 {
		return nil
	}
	disks, err := p.disks(ctx, spec.Env)
	if err != nil {
		return err
	}
	for _, d := range plan {
		for _, other := range disks {
			if other.ref == (providers.DataRef{Env: spec.Env, Machine: spec.Name, Name: d.Name}) && other.volume != d.volume {
				if other.size > 0 { // another call made the disk between our looking and our creating the container
					return errTaken
				}
				if err := p.removeDisk(ctx, other); err != nil {
					return err
				}
			}
		}
		if d.have >= d.Size {
			continue
		}
		if err := p.mark(ctx, spec, d); err != nil {
			return fmt.Errorf("data disk %s: %w", d.Name, err)
		}
		for _, other := range disks {
			if other.volume != d.volume {
				continue
			}
			for _, m := range other.marks {
				if err := p.VolumeRemove(ctx, m, false); err != nil && !errdefs.IsNotFound(err) {
					return err
				}
			}
		}
	}
	return nil
}

func (p *provider) mark(ctx context.Context, spec providers.Spec, d plannedDisk) error {
	ctx, cancel := steady(ctx)
	defer cancel()
	_, err := p.VolumeCreate(ctx, volume.CreateOptions{Driver: "local", Name: markName(d.volume, d.Size), Labels: diskLabels(kindMark, spec, d.Name)})
	return err
}

// removeFresh takes back the disks that this call made: nobody ever had them.
func (p *provider) removeFresh(ctx context.Context, spec providers.Spec, plan []plannedDisk) error {
	if !slices.ContainsFunc(plan, func(d plannedDisk) bool { return d.have == 0 }) {
		return nil
	}
	disks, err := p.disks(ctx, spec.Env)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range plan {
		for _, there := range disks {
			if d.have == 0 && there.volume == d.volume {
				errs = append(errs, p.removeDisk(ctx, there))
			}
		}
	}
	return errors.Join(errs...)
}

// removeDisk takes the marks first, so that what is left is never taken for a disk.
func (p *provider) removeDisk(ctx context.Context, d disk) error {
	for _, name := range append(slices.Clone(d.marks), d.volume) {
		if err := p.VolumeRemove(ctx, name, false); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("volume %s: %w", name, err)
		}
	}
	return nil
}
