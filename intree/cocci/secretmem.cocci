// SPDX-License-Identifier: GPL-2.0
// secretmem_fault(): a folio that is absent and clean already when it comes.  What it
// does for others, where it always did, is in functions that leave such a one alone.

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

@unmap@
expression E;
identifier err;
@@
  secretmem_fault(...)
  {
  <...
- err = set_direct_map_invalid_noflush(E);
+ err = secretmem_unmap_page(E);
  ...>
  }

@map@
expression E;
@@
  secretmem_fault(...)
  {
  <...
- set_direct_map_default_noflush(E);
+ secretmem_map_page(E);
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
