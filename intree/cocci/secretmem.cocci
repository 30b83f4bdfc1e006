// SPDX-License-Identifier: GPL-2.0
// secretmem_fault(): a folio that is absent and clean already when it comes, and
// that is given back in one step when it can't be used.

@alloc_folio@
identifier folio, gfp;
@@
  secretmem_fault(...)
  {
  <...
- folio = folio_alloc(gfp | __GFP_ZERO, 0);
+ folio = secretmem_alloc_folio(vmf, gfp);
  ...>
  }

@alloc_page@
identifier page, gfp;
@@
  secretmem_fault(...)
  {
  <...
- page = alloc_page(gfp | __GFP_ZERO);
+ page = secretmem_alloc_page(vmf, gfp);
  ...>
  }

@no_unmap@
expression E;
identifier err;
statement S;
@@
  secretmem_fault(...)
  {
  <...
- err = set_direct_map_invalid_noflush(E);
- if (err) S
  ...>
  }

@no_map@
expression E;
@@
  secretmem_fault(...)
  {
  <...
- set_direct_map_default_noflush(E);
  ...>
  }

@discard_folio@
expression folio;
@@
  secretmem_fault(...)
  {
  <...
- folio_put(folio);
+ secretmem_discard_folio(folio);
  ...>
  }

@discard_page@
expression page;
@@
  secretmem_fault(...)
  {
  <...
- put_page(page);
+ secretmem_discard_folio(page_folio(page));
  ...>
  }

@no_flush@
identifier addr;
@@
  secretmem_fault(...)
  {
  ...
- unsigned long addr;
  <...
- addr = (unsigned long)\(page_address\|folio_address\)(...);
- flush_tlb_kernel_range(addr, addr + PAGE_SIZE);
  ...>
  }
