// SPDX-License-Identifier: Apache-2.0

package filter

import "golang.org/x/net/bpf"

// code is a program that is written from its end to its beginning. All jumps of classic BPF go
// forward, so whatever is jumped to has its place already.
type code struct {
	reversed []bpf.Instruction
}

// place is the number of instructions from there to the end of the program.
type place int

// target is what can be jumped to. One that is far is brought near: by an instruction that does
// the same, or goes there.
type target struct {
	at, near place
	// same is what ends the program; nil where the target is more than one instruction.
	same bpf.Instruction
}

// reach is how far a conditional jump goes. It has 8 bits for it; two instructions of leeway are
// for bringing both targets near, one after the other.
const reach = 255 - 2

func (c *code) here() place { return place(len(c.reversed)) }

// put writes the instructions in front of the program.
func (c *code) put(ins ...bpf.Instruction) *target {
	for i := len(ins) - 1; i >= 0; i-- {
		c.reversed = append(c.reversed, ins[i])
	}
	return c.mark()
}

// mark is the target of what is written so far.
func (c *code) mark() *target { return &target{at: c.here(), near: c.here()} }

// end writes a verdict: how many octets of the frame pass.
func (c *code) end(octets uint32) *target {
	ret := bpf.RetConstant{Val: octets}
	t := c.put(ret)
	t.same = ret
	return t
}

// bring makes a target near.
func (c *code) bring(t *target) {
	switch {
	case c.here()-t.near <= reach:
		return
	case t.same != nil:
		c.put(t.same)
	default:
		c.put(bpf.Jump{Skip: uint32(c.here() - t.at)})
	}
	t.near = c.here()
}

// jump writes a comparison of the accumulator, and where to go on.
func (c *code) jump(test bpf.JumpTest, val uint32, yes, no *target) *target {
	c.bring(yes)
	c.bring(no)
	return c.put(bpf.JumpIf{
		Cond: test, Val: val,
		SkipTrue: uint8(c.here() - yes.near), SkipFalse: uint8(c.here() - no.near),
	})
}

// next has the program go on at the target with whatever is written now.
func (c *code) next(t *target) {
	if t.at == c.here() {
		return
	}
	if t.same != nil {
		c.put(t.same)
		return
	}
	c.put(bpf.Jump{Skip: uint32(c.here() - t.at)})
}

// require writes a condition without which a frame is dropped.
func (c *code) require(load bpf.Instruction, test bpf.JumpTest, val uint32, drop *target) {
	c.jump(test, val, c.mark(), drop)
	c.put(load)
}

// leaf is how many intervals are compared one after the other.
const leaf = 6

// search writes the search for the accumulator in the set.
func (c *code) search(s Set, found, missed *target) *target {
	if len(s) > leaf {
		middle := len(s) / 2
		high := c.search(s[middle:], found, missed)
		low := c.search(s[:middle], found, missed)
		return c.jump(bpf.JumpGreaterOrEqual, s[middle].low, high, low)
	}
	next := missed
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].low == s[i].high {
			next = c.jump(bpf.JumpEqual, s[i].low, found, next)
			continue
		}
		within := c.jump(bpf.JumpGreaterOrEqual, s[i].low, found, missed)
		next = c.jump(bpf.JumpGreaterThan, s[i].high, next, within)
	}
	return next
}

// key writes what keyOf does, with the IPv6 address at the offset.
func (c *code) key(offset uint32) *target {
	ins := []bpf.Instruction{bpf.LoadAbsolute{Off: offset, Size: 4}}
	for i := uint32(4); i < 16; i += 4 {
		ins = append(ins,
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixFactor},
			bpf.TAX{},
			bpf.LoadAbsolute{Off: offset + i, Size: 4},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
		)
	}
	return c.put(ins...)
}

// program gives what was written, in the order in which it runs.
func (c *code) program() []bpf.Instruction {
	p := make([]bpf.Instruction, len(c.reversed))
	for i, ins := range c.reversed {
		p[len(p)-1-i] = ins
	}
	return p
}
