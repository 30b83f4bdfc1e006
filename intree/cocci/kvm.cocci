// SPDX-License-Identifier: GPL-2.0
// Pages of guests, which the direct map may not have.

@to_map@
expression page;
@@
- kmap(page)
+ unmapped_kmap(page)

@of_host_map@
expression m;
@@
- kunmap(m->page)
+ unmapped_kunmap(m->page, m->hva)

@of_cache@
identifier f, pfn, khva;
@@
  f(..., kvm_pfn_t pfn, void *khva)
  {
  <...
- kunmap(pfn_to_page(pfn))
+ unmapped_kunmap(pfn_to_page(pfn), khva)
  ...>
  }
