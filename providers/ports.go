// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/envs"
)

// putPorts publishes what m wants of the machine that has its role. A port whose choice is free stays where it is published, or where the machine was
// that this one replaced, unless somebody else has that by now.
func (c *Core) putPorts(ctx context.Context, m envs.Machine, there Machine) (Machine, error) {
	spec := c.spec(m)
	spec.Name = there.Name
	if at, ok := there.Labels[LabelExpires]; ok { // it may be made anew, by a place where it is gone
		spec.Labels[LabelExpires] = at
	}
	free := spec.Publish
	spec.Publish = settledAt(settledAt(free, there.Ports), parsePorts(there.Labels[LabelPorts]))
	put, err := c.Provider.PutMachine(ctx, spec, "", c.Progress)
	if CodeOf(err) == Conflict && !slices.Equal(spec.Publish, free) {
		spec.Publish = free
		put, err = c.Provider.PutMachine(ctx, spec, "", c.Progress)
	}
	return put, err
}

// settledAt is want with the loopback ports of had where want leaves them free.
func settledAt(want, had []Port) []Port {
	want = slices.Clone(want)
	for i, w := range want {
		for _, h := range had {
			if w.HostPort == 0 && h.Port == w.Port && h.Proto == w.Proto {
				want[i].HostPort = h.HostPort
			}
		}
	}
	return want
}

// portsText is the value of LabelPorts. What does not fit into a label is left out.
func portsText(ports []Port) string {
	text := ""
	for _, p := range ports {
		word := fmt.Sprintf("%d/%s=%d", p.Port, p.Proto, p.HostPort)
		if p.HostPort == 0 || len(text)+1+len(word) > maxLabel {
			continue
		}
		text = strings.TrimSpace(text + " " + word)
	}
	return text
}

// parsePorts reads what portsText wrote, and leaves out what it did not.
func parsePorts(text string) []Port {
	var ports []Port
	for _, word := range strings.Fields(text) {
		var p Port
		if _, err := fmt.Sscanf(word, "%d/%3s=%d", &p.Port, &p.Proto, &p.HostPort); err == nil && p.HostPort > 0 && p.HostPort < 1<<16 {
			ports = append(ports, p)
		}
	}
	return ports
}
