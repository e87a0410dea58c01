// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/providers"
)

// systemDir is beside the folder of libvirt's own default pool, where every distribution's access rules let QEMU read.
const systemDir = "/var/lib/libvirt/images/evenkeel"

// pool is the storage pool of all volumes of ours, and the folder it stands for.
type pool struct {
	*lv.StoragePool
	dir string
}

// openPool finds the pool, or makes it where it is our own. It is remembered.
func (p *provider) openPool() (*pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		return p.pool, nil
	}
	found, err := p.findPool()
	if is(err, lv.ERR_NO_STORAGE_POOL) && p.config.Pool == defaultPool {
		found, err = p.makePool()
	}
	if is(err, lv.ERR_NO_STORAGE_POOL) {
		err = &coded{providers.NotFound, errors.New("there is none of that name"), "make it, or leave out pool: in config; virsh -c " + p.config.URI + " pool-list --all shows what there is"}
	}
	if err != nil {
		return nil, wrap("open", "storage pool "+p.config.Pool, err)
	}
	p.pool = found
	return found, nil
}

// findPool finds the pool, starts it where it was stopped, and reads its folder. It makes nothing.
func (p *provider) findPool() (*pool, error) {
	sp, err := p.conn.LookupStoragePoolByName(p.config.Pool)
	if err != nil {
		return nil, err
	}
	found, err := startPool(sp)
	if err != nil {
		_ = sp.Free() // only a reference count
	}
	return found, err
}

func startPool(sp *lv.StoragePool) (*pool, error) {
	active, err := sp.IsActive()
	if err != nil {
		return nil, err
	}
	if !active {
		if err := sp.Create(0); err != nil {
			if active, _ := sp.IsActive(); !active {
				return nil, err
			}
		}
	}
	text, err := sp.GetXMLDesc(0)
	if err != nil {
		return nil, err
	}
	var d libvirtxml.StoragePool
	if err := d.Unmarshal(text); err != nil {
		return nil, err
	}
	if d.Target == nil || d.Target.Path == "" || (d.Type != "dir" && d.Type != "fs" && d.Type != "netfs") {
		return nil, fmt.Errorf("it is of type %s; one of type dir, fs or netfs is needed", d.Type)
	}
	return &pool{sp, d.Target.Path}, nil
}

// makePool makes the pool "evenkeel". Two at once define the same thing twice.
func (p *provider) makePool() (*pool, error) {
	dir := systemDir
	if p.config.session() {
		var err error
		if dir, err = userDir("XDG_DATA_HOME", ".local/share"); err != nil {
			return nil, err
		}
		dir = filepath.Join(dir, "evenkeel", "libvirt")
	}
	text, err := (&libvirtxml.StoragePool{
		Type: "dir", Name: defaultPool, UUID: uuidOf("pool", defaultPool),
		// 0711: QEMU's user has to get at files whose names it was given, nobody else may look around.
		Target: &libvirtxml.StoragePoolTarget{Path: dir, Permissions: &libvirtxml.StoragePoolTargetPermissions{Mode: "0711"}},
	}).Marshal()
	if err != nil {
		return nil, err
	}
	sp, err := p.conn.StoragePoolDefineXML(text, 0)
	if err != nil {
		return nil, err
	}
	made, err := buildPool(sp)
	if err != nil {
		_ = sp.Free() // only a reference count
		return nil, err
	}
	p.log.Info("made storage pool", "pool", defaultPool, "folder", dir)
	return made, nil
}

func buildPool(sp *lv.StoragePool) (*pool, error) {
	active, err := sp.IsActive()
	if err != nil {
		return nil, err
	}
	if !active {
		if err := sp.Build(0); err != nil {
			if active, _ := sp.IsActive(); !active { // another process may have been quicker
				return nil, err
			}
		}
	}
	if err := sp.SetAutostart(true); err != nil {
		return nil, err
	}
	return startPool(sp)
}

func userDir(variable, fallback string) (string, error) {
	if d := os.Getenv(variable); filepath.IsAbs(d) {
		return d, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("neither %s nor a home folder is known: %w", variable, err)
	}
	return filepath.Join(home, fallback), nil
}

func (p *pool) path(volume string) string { return filepath.Join(p.dir, volume) }

// refresh makes the daemon look at the folder again. It refuses while a volume is being made: that passes, but where a large disk is copied
// it takes too long to wait for. done is false then.
func (p *pool) refresh(ctx context.Context) (done bool, err error) {
	const tries = 50
	for range tries {
		err := p.Refresh(0)
		if err == nil || !is(err, lv.ERR_INTERNAL_ERROR, lv.ERR_OPERATION_INVALID) {
			return err == nil, err
		}
		if err := pause(ctx); err != nil {
			return false, err
		}
	}
	return false, nil
}

// existingPool is the pool, or nil where there is none: reading verbs make nothing.
func (p *provider) existingPool() (*pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		return p.pool, nil
	}
	found, err := p.findPool()
	if is(err, lv.ERR_NO_STORAGE_POOL) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("open", "storage pool "+p.config.Pool, err)
	}
	p.pool = found
	return found, nil
}
