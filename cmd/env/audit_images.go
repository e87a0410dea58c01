// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/parity"
)

// lookupTime bounds each question to the archives which updates there are. It begins with the question: the machines may have taken longer.
const lookupTime = 2 * time.Minute

// imagesMet are the images of the machines that were met, and what is found out of them while machines are still being read.
type imagesMet struct {
	c       *call
	s       *auditSubject
	ctx     context.Context // of the lookups
	cancel  context.CancelFunc
	keys    map[string]string // image key -> recipe's path in the definition; "" where it is not known
	lookups map[string]*lookup
	wg      sync.WaitGroup
}

// lookup is what a recipe would be locked to today.
type lookup struct {
	lock *images.Lock
	err  error
}

func newImagesMet(ctx context.Context, c *call, s *auditSubject) *imagesMet {
	m := &imagesMet{c: c, s: s, keys: map[string]string{}, lookups: map[string]*lookup{}}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// stop ends lookups that nobody waits for any longer.
func (m *imagesMet) stop() {
	m.cancel()
	m.wg.Wait()
}

// meet takes note of a machine's image, and begins to look up its updates.
func (m *imagesMet) meet(subject parity.Subject) {
	if subject.ImageKey == "" {
		return
	}
	recipe := ""
	if m.s.def != nil && (subject.Project == "" || subject.Project == m.s.def.ID) {
		recipe = m.s.def.Machines[subject.Kind].Image
	}
	if m.keys[subject.ImageKey] == "" {
		m.keys[subject.ImageKey] = recipe
	}
	if recipe == "" || m.lookups[recipe] != nil || m.c.flag.Bool("offline") || m.c.flag.IsSet("from") {
		return
	}
	l := &lookup{}
	m.lookups[recipe] = l
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeoutCause(m.ctx, lookupTime, fmt.Errorf("the archives did not answer within %s", lookupTime))
		defer cancel()
		store, err := m.c.store(ctx)
		if err == nil {
			l.lock, err = store.NewLock(ctx, m.s.def.Recipes[recipe], m.s.tell)
		}
		if l.err = err; err != nil && ctx.Err() != nil {
			l.err = context.Cause(ctx)
		}
	})
}

// fill tells the policy what the images hold and lack. What is not in this computer's store Compare says.
func (m *imagesMet) fill(ctx context.Context) error {
	if len(m.keys) == 0 {
		return nil
	}
	store, err := m.c.store(ctx)
	if err != nil {
		return err
	}
	m.wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p := &m.s.policy
	for _, key := range sorted(m.keys) {
		manifest, err := store.Manifest(ctx, key)
		if err == nil {
			p.Manifests[key] = ofEtc(manifest)
			p.Texts[key], err = store.Texts(ctx, key)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			m.s.note("the image %.12s in this computer's store cannot be read: %s", key, reasonOf(err))
		}
		m.pending(key, manifest)
	}
	for _, recipe := range sorted(m.lookups) {
		if err := m.lookups[recipe].err; err != nil {
			m.s.note("%s: security updates that its images lack were not looked up: %s", recipe, cut(reasonOf(err), 400))
		}
	}
	return nil
}

// ofEtc is a manifest without the files that no machine is compared with: of many images in use the rest would fill the memory.
func ofEtc(m *images.Manifest) *images.Manifest {
	small := *m
	small.Files = nil
	for _, e := range m.Files {
		if strings.HasPrefix(e.Path, "/etc/") {
			small.Files = append(small.Files, e)
		}
	}
	return &small
}

// pending are the updates that one image lacks, where its packages and today's are known.
func (m *imagesMet) pending(key string, manifest *images.Manifest) {
	recipe := m.keys[key]
	l := m.lookups[recipe]
	if l == nil || l.err != nil {
		return
	}
	switch r := m.s.def.Recipes[recipe]; {
	case manifest != nil:
		m.s.policy.Pending[key] = parity.PendingOf(manifest.Packages, l.lock)
	case r != nil && r.Lock != nil && r.Key() == key:
		m.s.policy.Pending[key] = parity.PendingOf(parity.Locked(r.Lock), l.lock)
	default:
		m.s.note("security updates that the image %.12s lacks were not looked up: its packages are not known here", key)
	}
}
