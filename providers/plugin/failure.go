// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/plugin/proto"
)

// maxText bounds every string from the other side. gRPC carries errors in headers, which have room for little more.
const maxText = 16 << 10

// text makes s fit for a proto string: valid UTF-8, bounded.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + " [cut]"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// sendFailure makes err the status that carries it. A status (gRPC's own refusals) stays as it is.
func sendFailure(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	f := &proto.Failure{Message: text(err.Error())}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		f.Code, f.Op, f.Subject, f.Hint, f.Message = text(string(e.Code)), text(e.Op), text(e.Subject), text(e.Hint), ""
		if e.Err != nil {
			f.Message = text(e.Err.Error())
		}
		if err.Error() != e.Error() {
			f.Text = text(err.Error())
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		f.Ended = proto.Ended_ENDED_CANCELED
	case errors.Is(err, context.DeadlineExceeded):
		f.Ended = proto.Ended_ENDED_DEADLINE
	}
	s, detailErr := status.New(codes.Unknown, "").WithDetails(f)
	if detailErr != nil { // only where a string is not UTF-8, which text rules out
		return status.Error(codes.Internal, f.Message)
	}
	return s.Err()
}

// failureOf is the Failure that err carries, nil where it carries none: then it is gRPC's own.
func failureOf(err error) *proto.Failure {
	for _, d := range status.Convert(err).Details() {
		if f, ok := d.(*proto.Failure); ok {
			return f
		}
	}
	return nil
}

// receiveFailure is the error that f stands for, its text unchanged. op and subject name the call, for errors without any text.
func receiveFailure(f *proto.Failure, op, subject string) error {
	cause := endedBy(f.Ended)
	if f.Message != "" {
		cause = &farError{text(f.Message), cause}
	}
	if f.Code == "" {
		if cause != nil {
			return cause // a plain error, which has no more than its text
		}
		return &providers.Error{Code: providers.Internal, Op: op, Subject: subject, Err: cause}
	}
	e := &providers.Error{Code: providers.Code(f.Code), Op: text(f.Op), Subject: text(f.Subject), Hint: text(f.Hint), Err: cause}
	if !slices.Contains(providers.Codes, e.Code) {
		e.Code = providers.Internal
	}
	if f.Text != "" {
		return &farError{text(f.Text), e}
	}
	return e
}

func endedBy(e proto.Ended) error {
	switch e {
	case proto.Ended_ENDED_CANCELED:
		return context.Canceled
	case proto.Ended_ENDED_DEADLINE:
		return context.DeadlineExceeded
	}
	return nil
}

// farError is an error of the other side: its text, and what of its chain crossed.
type farError struct {
	text  string
	cause error
}

func (e *farError) Error() string { return e.text }
func (e *farError) Unwrap() error { return e.cause }
