// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"

	"github.com/evenkeel/evenkeel/internal/maker"
	"github.com/evenkeel/evenkeel/providers"
)

// Labels of ours on the daemon's objects, which cannot be changed once the object exists. The core's own follow coreLabel, word for word.
const (
	space     = "com.github.evenkeel."
	coreLabel = space + "label."

	labelKind    = space + "kind" // machine, forwards, network, data, mark or image
	labelEnv     = space + "env"
	labelName    = space + "name"    // the machine's
	labelSpec    = space + "spec"    // providers.Spec.Digest
	labelMaker   = space + "maker"   // the process that makes it; see internal/maker
	labelMade    = space + "made"    // RFC 3339, UTC
	labelDisks   = space + "disks"   // names of a machine's data disks, by spaces
	labelMachine = space + "machine" // container whose ports are forwarded
	labelPorts   = space + "ports"   // what is forwarded: see portsText
	labelDisk    = space + "disk"    // a data disk's name
	labelProject = space + "project"
	labelOwner   = space + "owner"

	labelKey     = space + "image-key"
	labelDigest  = space + "image-digest"
	labelTree    = space + "tree"    // SHA-256 of the artefact it was made from
	labelSystemd = space + "systemd" // version of the systemd in it
)

const (
	kindMachine  = "machine"
	kindForwards = "forwards"
	kindNetwork  = "network"
	kindData     = "data"
	kindMark     = "mark"
	kindImage    = "image"
)

// machineLabels are a new machine's.
func machineLabels(spec providers.Spec) map[string]string {
	l := map[string]string{
		labelKind: kindMachine, labelEnv: spec.Env, labelName: spec.Name, labelSpec: spec.Digest(),
		labelMaker: maker.Self(), labelMade: now(),
	}
	var disks []string
	for _, d := range spec.Data {
		disks = append(disks, d.Name)
	}
	l[labelDisks] = strings.Join(disks, " ")
	for k, v := range spec.Labels {
		l[coreLabel+k] = v
	}
	return l
}

// ownLabels are those of what else an environment has.
func ownLabels(kind, env string, core providers.Labels) map[string]string {
	return map[string]string{
		labelKind: kind, labelEnv: env, labelMaker: maker.Self(), labelMade: now(),
		labelProject: core[providers.LabelProject], labelOwner: core[providers.LabelOwner],
	}
}

// coreLabels are those that the core gave.
func coreLabels(labels map[string]string) providers.Labels {
	l := providers.Labels{}
	for k, v := range labels {
		if key, ours := strings.CutPrefix(k, coreLabel); ours {
			l[key] = v
		}
	}
	return l
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// madeAt is zero where somebody else wrote the label.
func madeAt(labels map[string]string) time.Time {
	t, _ := time.Parse(time.RFC3339, labels[labelMade])
	return t
}

// byLabels filters a list for objects of an environment, or of all where env is "".
func byLabels(env, kind string) filters.Args {
	f := filters.NewArgs()
	if env == "" {
		f.Add("label", labelEnv)
	} else {
		f.Add("label", labelEnv+"="+env)
	}
	if kind != "" {
		f.Add("label", labelKind+"="+kind)
	}
	return f
}

// portsText is the value of labelPorts: "80/tcp=20080 443/tcp=8443!", where ! marks one that the user pinned.
func portsText(ports []port) string {
	var words []string
	for _, p := range ports {
		w := strconv.Itoa(p.Inside) + "/" + p.Proto + "=" + strconv.Itoa(p.Host)
		if p.Pinned {
			w += "!"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// parsePorts reads what portsText wrote, and leaves out what it did not.
func parsePorts(text string) []port {
	var ports []port
	for _, w := range strings.Fields(text) {
		w, pinned := strings.CutSuffix(w, "!")
		inside, host, ok := strings.Cut(w, "=")
		number, proto, ok2 := strings.Cut(inside, "/")
		p := port{Proto: proto, Pinned: pinned}
		var err1, err2 error
		p.Inside, err1 = strconv.Atoi(number)
		p.Host, err2 = strconv.Atoi(host)
		if ok && ok2 && err1 == nil && err2 == nil && isPort(p.Inside) && isPort(p.Host) && (proto == "tcp" || proto == "udp") {
			ports = append(ports, p)
		}
	}
	return ports
}

func isPort(n int) bool { return n > 0 && n < 1<<16 }
