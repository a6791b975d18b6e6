//! How a program reaches the bytes of its frame.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext,
    helpers::generated,
    programs::{TcContext, XdpContext},
};
use tracer_common::limits;

use super::work::{Work, read_back};
use crate::bounds;

/// A frame whose bytes can be copied.
pub trait Source {
    /// Bytes of the frame, all fragments included.
    fn length(&self) -> u32;

    /// Copies `length` bytes from `offset`; false when the frame does not hold them.
    ///
    /// # Safety
    /// `into` is valid for writes of `length` bytes, and the verifier can see that.
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool;

    /// Copies a small plain value from `offset`.
    #[inline(always)]
    fn load<T: Copy>(&self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the buffer is as long as the value, which is plain bytes.
        unsafe {
            self.copy(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32)
                .then(|| value.assume_init())
        }
    }
}

/// A frame whose first bytes were copied already, by one call instead of one for each header.
pub struct Begun<'a, S> {
    source: &'a S,
    /// Where the copy is, and how long: read back for each header, see [`super::work`].
    work: *const Work,
}

/// Most frames have all their headers within so many bytes.
pub const BEGINNING: u32 = limits::FRAME_HEADERS;

impl<'a, S: Source> Begun<'a, S> {
    /// Copies the beginning of the frame to where the whole one may stand later. `None` for a
    /// frame without any byte.
    ///
    /// # Safety
    /// `work` is this CPU's entry of the map.
    #[inline(always)]
    pub unsafe fn new(source: &'a S, work: *mut Work) -> Option<Self> {
        let length = u64::from(source.length().min(BEGINNING));
        let length = bounds::from_one(length, u64::from(BEGINNING))? as u32;
        // SAFETY: as the caller promises; the buffer is longer than the beginning of a frame.
        unsafe {
            if !source.copy(0, (&raw mut (*work).frame.bytes).cast(), length) {
                return None;
            }
            (*work).begun = length;
        }
        Some(Self { source, work })
    }

    /// Bytes that are copied.
    #[inline(always)]
    pub fn copied(&self) -> u32 {
        // SAFETY: only an address is taken, within an entry of the map.
        read_back(unsafe { &raw const (*self.work).begun })
    }
}

impl<S: Source> Source for Begun<'_, S> {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.source.length()
    }

    #[inline(always)]
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool {
        // SAFETY: as the caller promises.
        unsafe { self.source.copy(offset, into, length) }
    }

    #[inline(always)]
    fn load<T: Copy>(&self, offset: u32) -> Option<T> {
        let size = size_of::<T>() as u32;
        if offset.saturating_add(size) > self.copied() {
            return self.source.load(offset);
        }
        let place = bounds::from_zero(u64::from(offset), u64::from(BEGINNING - size))?;
        // SAFETY: within the bytes that were copied; plain bytes, wherever they are.
        Some(unsafe {
            let bytes = (&raw const (*self.work).frame.bytes).cast::<u8>();
            bytes.add(place as usize).cast::<T>().read_unaligned()
        })
    }
}

/// A frame at an XDP hook. `bpf_xdp_load_bytes` needs Linux 5.18; older kernels are served
/// by TC ingress.
pub struct Xdp<'a>(pub &'a XdpContext);

impl Source for Xdp<'_> {
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the helper takes this program's own context.
        unsafe { generated::bpf_xdp_get_buff_len(self.0.ctx) as u32 }
    }

    #[inline(always)]
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool {
        // SAFETY: as the caller promises.
        unsafe { generated::bpf_xdp_load_bytes(self.0.ctx, offset, into.cast(), length) == 0 }
    }
}

/// A frame at a TC hook.
pub struct Classifier<'a>(pub &'a TcContext);

impl Source for Classifier<'_> {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool {
        // SAFETY: as the caller promises.
        unsafe { generated::bpf_skb_load_bytes(self.0.as_ptr(), offset, into.cast(), length) == 0 }
    }
}
