// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/images"
)

// vagrant is Debian's vagrant with vagrant-libvirt, its box made of the same disk, kernel and initial RAM disk.
type vagrant struct {
	dir string
	env []string
}

func newVagrant(ctx context.Context, b *bench, project string) (*vagrant, error) {
	files, err := b.artefacts(ctx, project)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "vagrant")
	box := filepath.Join(dir, "box")
	if err := os.MkdirAll(box, 0o755); err != nil {
		return nil, err
	}
	// QEMU's user has to be able to read kernel and initrd.
	kernel, initrd := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd")
	for to, from := range map[string]string{kernel: files[kernelFormat()].Path, initrd: files["initrd"].Path} {
		if _, err := timed(ctx, dir, nil, "install", "-m", "0644", from, to); err != nil {
			return nil, err
		}
	}
	type_, cpu := "qemu", `v.cpu_mode = "custom"; v.cpu_model = "qemu64"`
	if machineHasKVM() {
		type_, cpu = "kvm", `v.cpu_mode = "host-passthrough"`
	}
	vagrantfile := fmt.Sprintf(`Vagrant.configure("2") do |config|
  config.vm.box = "bench"
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.insert_key = false
  config.vm.provider :libvirt do |v|
    v.driver = %q
    %s
    v.memory = %d; v.cpus = %d
    v.kernel = %q; v.initrd = %q
    v.cmd_line = %q
    v.graphics_type = "none"; v.video_type = "none"
  end
end
`, type_, cpu, benchMemory, benchCPUs, kernel, initrd, images.KernelArgs)
	for name, content := range map[string]string{
		"Vagrantfile":       vagrantfile,
		"box/Vagrantfile":   "Vagrant.configure(\"2\") {}\n",
		"box/metadata.json": `{"provider":"libvirt","format":"qcow2","virtual_size":4}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	v := &vagrant{dir: dir, env: []string{"VAGRANT_HOME=" + filepath.Join(dir, "home"), "VAGRANT_CHECKPOINT_DISABLE=1", "VAGRANT_DEFAULT_PROVIDER=libvirt"}}
	for _, step := range [][]string{
		{"cp", "--sparse=always", files["qcow2"].Path, "box/box.img"},
		{"qemu-img", "resize", "-q", "box/box.img", "4G"},
		{"tar", "-czf", "bench.box", "-C", "box", "metadata.json", "Vagrantfile", "box.img"},
		{"vagrant", "box", "add", "--name", "bench", "bench.box"},
	} {
		if _, err := timed(ctx, dir, v.env, step[0], step[1:]...); err != nil {
			return nil, err
		}
	}
	// The first up copies the box into libvirt's pool, as ours brings the image there.
	_, err = v.up(ctx)
	return v, err
}

func (v *vagrant) run(ctx context.Context, args ...string) (time.Duration, error) {
	return timed(ctx, v.dir, v.env, "vagrant", args...)
}

func (v *vagrant) up(ctx context.Context) (time.Duration, error) {
	took, err := v.run(ctx, "up")
	if err != nil {
		return 0, err
	}
	_, err = v.run(ctx, "destroy", "-f")
	return took, err
}

// close takes the machine, the box's volume and the management network away again.
func (v *vagrant) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	_, _ = v.run(ctx, "destroy", "-f")
	volumes, _ := exec.CommandContext(ctx, "virsh", "-c", "qemu:///system", "vol-list", "default").Output()
	for _, word := range strings.Fields(string(volumes)) {
		if strings.HasPrefix(word, "bench_vagrant_box_image") {
			_, _ = timed(ctx, v.dir, nil, "virsh", "-c", "qemu:///system", "vol-delete", "--pool", "default", word)
		}
	}
	_, _ = timed(ctx, v.dir, nil, "virsh", "-c", "qemu:///system", "net-destroy", "vagrant-libvirt")
	_, _ = timed(ctx, v.dir, nil, "virsh", "-c", "qemu:///system", "net-undefine", "vagrant-libvirt")
}
