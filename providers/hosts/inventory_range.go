// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"fmt"
	"strconv"
	"strings"
)

// expandRanges is what an inventory's host pattern stands for: web[01:20:2].example, db-[a:c]; at most most names. A width is kept: [01:03] is 01, 02, 03.
func expandRanges(pattern string, most int) ([]string, error) {
	open := strings.IndexByte(pattern, '[')
	if open < 0 {
		if most < 1 {
			return nil, tooMany()
		}
		return []string{pattern}, nil
	}
	length := strings.IndexByte(pattern[open:], ']')
	if length < 0 {
		return nil, fmt.Errorf("got %q, with [ that nothing closes", clip(pattern))
	}
	head, inner, tail := pattern[:open], pattern[open+1:open+length], pattern[open+length+1:]
	values, err := rangeOf(inner, most)
	if err != nil {
		return nil, fmt.Errorf("got %q: %w", clip(pattern), err)
	}
	rest, err := expandRanges(tail, most)
	if err != nil {
		return nil, err
	}
	if len(values)*len(rest) > most { // both are at most 100,000
		return nil, tooMany()
	}
	all := make([]string, 0, len(values)*len(rest))
	for _, v := range values {
		for _, r := range rest {
			all = append(all, head+v+r)
		}
	}
	return all, nil
}

func tooMany() error { return fmt.Errorf("it comes to more than %d hosts", maxHosts) }

// rangeOf is FIRST:LAST[:STEP], of numbers or of single letters, both ends included. Without FIRST it begins at 0.
func rangeOf(text string, most int) ([]string, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[1] == "" {
		return nil, fmt.Errorf("[%s] is no range; allowed are [01:20], [01:20:2] and [a:f]", clip(text))
	}
	step := 1
	if len(parts) == 3 {
		var err error
		if step, err = strconv.Atoi(parts[2]); err != nil || step < 1 || step > maxHosts {
			return nil, fmt.Errorf("[%s] has the step %q; allowed is a number from 1 on", clip(text), clip(parts[2]))
		}
	}
	if isLetter(parts[0]) && isLetter(parts[1]) {
		return letters(text, parts[0], parts[1], step)
	}
	first, last := parts[0], parts[1]
	if first == "" {
		first = "0"
	}
	if !isDigits(first) || !isDigits(last) || len(first) > 9 || len(last) > 9 {
		return nil, fmt.Errorf("[%s] is no range; allowed are [01:20], [01:20:2] and [a:f]", clip(text))
	}
	width := 0
	if first[0] == '0' && len(first) > 1 {
		if width = len(first); len(last) != width {
			return nil, fmt.Errorf("[%s] has ends of different width", clip(text))
		}
	}
	from, _ := strconv.Atoi(first) // digits, few enough
	to, _ := strconv.Atoi(last)
	if from > to {
		return nil, fmt.Errorf("[%s] ends before it begins", clip(text))
	}
	if (to-from)/step >= most {
		return nil, tooMany()
	}
	var list []string
	for n := from; n <= to; n += step {
		list = append(list, fmt.Sprintf("%0*d", width, n))
	}
	return list, nil
}

// letterOrder is Python's string.ascii_letters, in which Ansible counts.
const letterOrder = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func letters(text, first, last string, step int) ([]string, error) {
	from, to := strings.Index(letterOrder, first), strings.Index(letterOrder, last)
	if from > to {
		return nil, fmt.Errorf("[%s] ends before it begins", clip(text))
	}
	var list []string
	for i := from; i <= to; i += step {
		list = append(list, letterOrder[i:i+1])
	}
	return list, nil
}

func isLetter(s string) bool { return len(s) == 1 && strings.Contains(letterOrder, s) }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
