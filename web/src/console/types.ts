// What the admin API answers, as far as the console shows it.

export type Role = "read" | "support" | "admin";

export interface Named { type: number; name: string }
export interface Me { name: string; role: Role; companies: Named[]; products: Named[] }

export interface List<T> { items: T[]; next: string | null }

export interface Locks { failures: number; failuresUntil: string | null; codesToday: number; nextCodeAt: string | null }

export interface ListedUser {
  id: number; companyType: number; mobile: string; userName: string; nickName: string; realName: string;
  externalId?: string | null; source?: string; firstSource: string; createdAt: string; deletedAt: string | null;
  banned: boolean; bannedUntil: string | null; banReason: string;
}

export interface Session { id: string; productType: number; deviceNumber: string; deviceName: string; ip: string; loginTime: string; lastSeenTime: string }

export interface User extends ListedUser {
  metadata?: Record<string, unknown>; lastLoginTime?: string | null; locks?: Locks; sessions: Session[];
}

export interface Text { zh: string; en: string }

export interface AuditEvent {
  id: number; at: string; kind: string; text: Text; userId: number | null; sessionId: string; actor: string; ip: string; device: string;
  requestId: string; detail: Record<string, unknown> | null;
}

export interface Message {
  id: number; at: string; mobile: string; userId: number | null; companyType: number; productType: number; purpose: string; provider: string;
  messageId: string; state: string; reason: string; text?: Text; reportedAt: string | null; redeemedAt: string | null;
}

export interface Breakdown { productType: number; source: string; count: number }
export interface StatsItem {
  from: string; codes: { sent: number; redeemed: number; failed: number }; registrations: Breakdown[]; logins: Breakdown[];
  displaced: number; kicked: number; reuse: number; events: Record<string, number>;
}
export interface Stats extends List<StatsItem> { activeSessions: Record<string, number> }

export interface Check { name: string; ok: boolean; detail: string }
export interface Health {
  instances: { id: string; version: string; startedAt: string; seenAt: string }[];
  database: { driver: string; version: string; ok: boolean };
  followerLagSeconds: number;
  keys: { kid: string; algorithm: string; createdAt: string; signs: boolean }[];
  checks: Check[];
  vendors?: Record<string, unknown>[];
}

export interface Simulation { ends: { id: string; reason: string }[]; refused: number | null }
