/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNMAPPED_DEBUGFS_H
#define UNMAPPED_DEBUGFS_H

void unmapped_debugfs_init(void);
void unmapped_debugfs_exit(void);

#endif /* UNMAPPED_DEBUGFS_H */
