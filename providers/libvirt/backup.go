// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
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
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := dom.BackupBegin(order, "", lv.DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL); err != nil {
		return err
	}
	if err := copied(ctx, dom); err != nil {
		_ = dom.AbortJob() // err says why; there may be none any more
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		_ = copied(ctx, dom) // until QEMU has let go of the file
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

// copied waits for the end of the machine's backup.
func copied(ctx context.Context, dom *lv.Domain) error {
	for {
		job, err := dom.GetJobInfo()
		if err != nil {
			return fmt.Errorf("the machine ended before its disk was copied: %w", err)
		}
		if job.Type == lv.DOMAIN_JOB_NONE {
			break
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
		return errors.Join(errors.New("QEMU did not copy the disk to its end"), errorMessage(job))
	}
	return nil
}

func errorMessage(job *lv.DomainJobInfo) error {
	if !job.ErrorMessageSet || job.ErrorMessage == "" {
		return nil
	}
	return errors.New(job.ErrorMessage)
}
