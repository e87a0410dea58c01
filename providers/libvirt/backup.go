// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/providers"
)

// backup has QEMU copy one disk of a running machine, as it is at this moment, into the qcow2 file at path, which is there and as large.
func (p *provider) backup(ctx context.Context, uuid, serial, path string) error {
	dom, err := p.conn.LookupDomainByUUIDString(uuid)
	if err != nil {
		return err
	}
	defer func() { _ = dom.Free() }() // only a reference count
	text, err := dom.GetXMLDesc(0)
	if err != nil {
		return err
	}
	order, err := backupXML(text, serial, path)
	if err != nil {
		return err
	}
	// libvirt keeps the outcome of the last backup only, and forgets it once it was asked for, so one client does one at a time.
	select {
	case p.backups <- struct{}{}:
		defer func() { <-p.backups }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := dom.BackupBegin(order, "", lv.DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL); err != nil {
		return err
	}
	if err := copied(ctx, dom, path); err != nil {
		_ = dom.AbortJob() // err says why; there may be none any more
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		_ = copied(ctx, dom, path) // until QEMU has let go of the file
		return err
	}
	return nil
}

// backupXML asks for the disk with that serial and for no other.
func backupXML(domain, serial, path string) (string, error) {
	var d libvirtxml.Domain
	if err := d.Unmarshal(domain); err != nil {
		return "", err
	}
	if d.Devices == nil {
		return "", errors.New("the machine has no devices")
	}
	var disks []libvirtxml.DomainBackupPushDisk
	found := false
	for _, disk := range d.Devices.Disks {
		if disk.Target == nil {
			continue
		}
		b := libvirtxml.DomainBackupPushDisk{Name: disk.Target.Dev, Backup: "no"}
		if disk.Serial == serial {
			found = true
			b.Backup, b.Driver, b.Target = "yes", &libvirtxml.DomainBackupDiskDriver{Type: "qcow2"}, fileSource(path)
		}
		disks = append(disks, b)
	}
	if !found {
		return "", fmt.Errorf("the machine runs without a disk %s", serial)
	}
	return (&libvirtxml.DomainBackup{Push: &libvirtxml.DomainBackupPush{Disks: &libvirtxml.DomainBackupPushDisks{Disks: disks}}}).Marshal()
}

// copied waits for the end of the backup to path. Another client's may begin right after it, and may have taken the outcome: then this one counts
// as failed.
func copied(ctx context.Context, dom *lv.Domain, path string) error {
	for {
		text, err := dom.BackupGetXMLDesc(0)
		if !running(dom) {
			return fail(providers.Unavailable, "the machine ended before its disk was copied")
		}
		if is(err, lv.ERR_NO_DOMAIN_BACKUP) || err == nil && !strings.Contains(text, path) {
			break
		}
		if err != nil {
			return err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	job, err := dom.GetJobStats(lv.DOMAIN_JOB_STATS_COMPLETED)
	if err != nil {
		return err
	}
	if job.Type != lv.DOMAIN_JOB_COMPLETED {
		return fmt.Errorf("QEMU did not copy the disk to its end: %s", cmp.Or(job.ErrorMessage, "it does not say why"))
	}
	return nil
}
