// SPDX-License-Identifier: Apache-2.0

package images

import (
	"strings"

	"github.com/evenkeel/evenkeel/internal/progress"
)

// steps turns the output of dpkg and of the builder's scripts into progress.
type steps struct {
	subject string
	total   int64
	done    int64
	stage   string
	detail  string
	emit    progress.Func
}

// newSteps expects total steps of dpkg: one to unpack and one to configure each package.
func newSteps(subject string, total int, p progress.Func) *steps {
	return &steps{subject: subject, total: int64(total), stage: "unpack", emit: p}
}

func (s *steps) line(text string) {
	word, rest, _ := strings.Cut(text, " ")
	switch {
	case word == "evenkeel:":
		s.stage, s.detail, _ = strings.Cut(rest, " ")
		s.emit.Emit(progress.Event{Subject: s.subject, Stage: s.stage, Detail: s.detail})
		return
	case word == "Unpacking":
		s.stage = "unpack"
	case word == "Setting" && strings.HasPrefix(rest, "up "):
		s.stage, rest = "configure", strings.TrimPrefix(rest, "up ")
	default:
		return
	}
	s.done = min(s.done+1, s.total)
	s.detail, _, _ = strings.Cut(rest, " ")
	s.emit.Emit(progress.Event{Subject: s.subject, Stage: s.stage, Detail: s.detail, Done: s.done, Total: s.total})
}

// deed is what the build was doing when it failed.
func (s *steps) deed() string {
	if s.detail == "" {
		return s.stage + " the image " + s.subject
	}
	return s.stage + " " + s.detail + " of the image " + s.subject
}
