// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// layRepo makes dir a package archive of exactly these packages, which must be in the store. Its index bears the hashes of the lock, so
// apt checks each file once more when it takes it.
func (s *Store) layRepo(ctx context.Context, dir, codename string, packages []LockedPackage) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	controls := make([][]byte, len(packages))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchAtOnce)
	for i, p := range packages {
		g.Go(func() error {
			control, err := s.control(gctx, p.SHA256)
			if err != nil {
				return fmt.Errorf("cannot read the package %s: %w", p.Name, err)
			}
			if n, v := stanzaField(control, "Package"), stanzaField(control, "Version"); n != p.Name || v != p.Version {
				return fmt.Errorf("the file locked as %s %s says it is %s %s", p.Name, p.Version, n, v)
			}
			controls[i] = control
			return linkOrCopy(s.packagePath(p.SHA256), filepath.Join(dir, p.SHA256+".deb"))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var index bytes.Buffer
	for i, p := range packages {
		index.Write(bytes.TrimRight(controls[i], "\n"))
		fmt.Fprintf(&index, "\nFilename: ./%s.deb\nSize: %d\nSHA256: %s\n\n", p.SHA256, p.Size, p.SHA256)
	}
	release := fmt.Sprintf("Suite: %[1]s\nCodename: %[1]s\nSHA256:\n %x %d Packages\n", codename, sha256.Sum256(index.Bytes()), index.Len())
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "Packages"), index.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "Release"), []byte(release), 0o644),
	)
}

// control is a package's own description, kept beside its file in the store.
func (s *Store) control(ctx context.Context, sum string) ([]byte, error) {
	name := s.packagePath(sum) + ".control"
	if data, err := os.ReadFile(name); err == nil {
		return data, nil
	}
	data, err := runTool(ctx, toolEnv(), nil, "dpkg-deb", "--field", s.packagePath(sum))
	if err != nil {
		return nil, err
	}
	return data, writeAtomic(name, data, 0o644)
}

// room is how much room the packages' tree takes while it is built.
func (s *Store) room(ctx context.Context, packages []LockedPackage) (int64, error) {
	controls := make([][]byte, len(packages))
	for i, p := range packages {
		var err error
		if controls[i], err = s.control(ctx, p.SHA256); err != nil {
			return 0, err
		}
	}
	return treeRoom(controls, packages), nil
}

func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
