"""vLLM's block pool for one request at a time, written down once more and independently: the shortest form of it."""

from collections import OrderedDict


class Pool:
    def __init__(self, blocks, block_size):
        self.block_size = block_size
        self.free = OrderedDict((block, None) for block in range(blocks))  # block -> content, next in turn first
        self.cached = {}  # content -> blocks that have it
        self.removed, self.queries, self.hits = [], 0, 0

    def serve(self, tokens):
        """Takes blocks for a prompt and gives them back; how many of its tokens were found."""
        size, contents, parent = self.block_size, [], None
        for start in range(0, len(tokens) - size + 1, size):
            parent = (parent, *tokens[start : start + size])
            contents.append(parent)
        held = []
        for content in contents[: (len(tokens) - 1) // size]:
            if not self.cached.get(content):
                break
            held.append((self.cached[content][0], content))
            del self.free[held[-1][0]]
        hits = len(held)
        for at in range(hits, -(-len(tokens) // size)):
            block, evicted = self.free.popitem(last=False)
            if evicted is not None:
                self.cached[evicted].remove(block)
                self.removed.append(evicted)
            content = contents[at] if at < len(contents) else None
            if content is not None:
                self.cached.setdefault(content, []).append(block)
            held.append((block, content))
        for block, content in reversed(held):
            self.free[block] = content
            self.free.move_to_end(block, last=content is not None)
        self.queries, self.hits = self.queries + len(tokens), self.hits + hits * size
        return hits * size
